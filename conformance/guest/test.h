/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a test case needs, on every architecture. A case is a function registered by TEST; it ends
 * in one of four outcomes: it returns (SUCCESS), calls skip(), calls error(), or a CHECK fails or
 * an exception comes that nobody expected (FAILURE). Each of them but the first leaves the case at
 * once. Between cases the machine is put back into the state that guest/arch.h describes.
 */
#ifndef CONFORMANCE_GUEST_TEST_H
#define CONFORMANCE_GUEST_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPUS_MAX 16

struct test_case {
	const char *name;      /* without its subject */
	const char *file;      /* names the subject: "cases/x86_64/SUBJECT.c" */
	const char *reference; /* the manual and section that demand the behaviour */
	const char *ends;  /* how the machine ends: "reset", "power-off", "triple-fault"; or NULL */
	unsigned int cpus; /* that it needs */
	void (*run)(const struct test_case *self);
	const void *row; /* TEST_ROW: what tells it from the others that share run */
};

#define TEST_REGISTER(section_name, identifier, ...)                                               \
	static const struct test_case test_##identifier = { __VA_ARGS__ };                         \
	__attribute__((section(section_name),                                                      \
	               used)) static const struct test_case *const test_entry_##identifier =       \
		&test_##identifier

#define TEST_FULL(section_name, case_name, how, cpus_needed, reference_text)                       \
	static void run_##case_name(const struct test_case *self);                                 \
	TEST_REGISTER(section_name, case_name, .name = #case_name, .file = __FILE__,               \
	              .reference = (reference_text), .ends = (how), .cpus = (cpus_needed),         \
	              .run = run_##case_name);                                                     \
	static void run_##case_name(__attribute__((unused)) const struct test_case *self)

/* TEST(name, "SDM Vol. 3A 6.15") { body }: the case SUBJECT.name. */
#define TEST(case_name, reference_text) TEST_FULL("cases", case_name, NULL, 1, reference_text)
/* ... that needs that many CPUs; it is skipped where there are fewer. */
#define TEST_SMP(case_name, cpus, reference_text)                                                  \
	TEST_FULL("cases", case_name, NULL, cpus, reference_text)
/* ... that succeeds if the machine ends. These run after all others. */
#define TEST_ENDS(case_name, how, reference_text)                                                  \
	TEST_FULL("ending_cases", case_name, how, 1, reference_text)
/* A case that shares its function with others: run(self) finds its row at self->row. */
#define TEST_ROW(case_name, function, row_address, reference_text)                                 \
	TEST_REGISTER("cases", case_name, .name = #case_name, .file = __FILE__,                    \
	              .reference = (reference_text), .cpus = 1, .run = (function),                 \
	              .row = (row_address))

/* Where a check stands. */
struct place {
	const char *file;
	unsigned int line;
};
#define HERE (&(const struct place){ __FILE__, __LINE__ })

/* A diagnostic line, "# SUBJECT.CASE: ...", without an outcome. print()'s directives. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* These leave the case, on whichever CPU they are called. */
_Noreturn void skip(const char *missing);
_Noreturn void error(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void fail(const struct place *place, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define FAIL(...) fail(HERE, __VA_ARGS__)
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail(HERE, "not so: %s", #condition);                                      \
	} while (0)
#define CHECK_EQ(got, expected) check_equal(HERE, #got, (uint64_t)(got), (uint64_t)(expected))
void check_equal(const struct place *place, const char *what, uint64_t got, uint64_t expected);

/*
 * An exception, in the architecture's own terms. x86-64: vector and error code, CR2 (of #PF), RIP,
 * RFLAGS. AArch64: ESR_EL1.EC and ISS, FAR_EL1, ELR_EL1, SPSR_EL1.
 */
struct fault {
	uint64_t vector; /* FAULT_NONE: there was none */
	uint64_t code;
	uint64_t address;
	uint64_t pc;
	uint64_t flags;
};
#define FAULT_NONE UINT64_MAX
#define ANY_CODE   UINT64_MAX

/*
 * Between fault_expect() and fault_end() an exception in one of the library's functions for single
 * instructions and accesses (rdmsr(), load32()...), or in a TRY block, is taken down, and the
 * instruction is left out. The first one counts. Of the calling CPU.
 */
void fault_expect(void);
struct fault fault_end(void);

/* The exception that evaluating the expression leads to. */
#define FAULT_OF(...)                                                                              \
	({                                                                                         \
		fault_expect();                                                                    \
		(void)(__VA_ARGS__);                                                               \
		fault_end();                                                                       \
	})
#define CHECK_FAULT(expected_vector, expected_code, ...)                                           \
	check_fault(HERE, #__VA_ARGS__, FAULT_OF(__VA_ARGS__), expected_vector, expected_code)
#define CHECK_NO_FAULT(...)                                                                        \
	check_fault(HERE, #__VA_ARGS__, FAULT_OF(__VA_ARGS__), FAULT_NONE, ANY_CODE)
void check_fault(const struct place *place, const char *what, struct fault got, uint64_t vector,
                 uint64_t code);

/*
 * Other CPUs. CPU 0 runs the case. start_cpu() resets CPU n, has it call function(argument) with
 * interrupts masked and returns once it does; the case ends as ERROR if it cannot be started.
 * wait_cpu() waits until the function has returned, and ends the case if it ended there. A case
 * need not wait: CPUs still running when it ends are stopped.
 */
unsigned int cpu_count(void);
unsigned int this_cpu(void);
void start_cpu(unsigned int n, void (*function)(void *argument), void *argument);
void wait_cpu(unsigned int n);
/* start_cpu() of all others, the same here, and wait_cpu(). */
void on_each_cpu(void (*function)(void *argument), void *argument);
/* In such a function: returns on each CPU when all have come to it. */
void meet(void);

/* The decimal number that the command line gives for a key: KEY=NUMBER. */
uint64_t option_number(const char *key, uint64_t otherwise);

/* Time, by the target's counter: only ever as a generous limit. */
#define LIMIT_MS 5000
struct limit {
	uint64_t end;
	unsigned int turns;
};
struct limit limit_of(unsigned int milliseconds);
/* Whether it has passed; pauses a little. Goes through some thousands of turns in any case. */
bool limit_passed(struct limit *limit);
/* Waits for a condition; its value then. */
#define WAIT_FOR(condition)                                                                        \
	({                                                                                         \
		struct limit wait_limit = limit_of(LIMIT_MS);                                      \
		bool came;                                                                         \
		while (!(came = (condition)) && !limit_passed(&wait_limit))                        \
			;                                                                          \
		came;                                                                              \
	})

#endif
