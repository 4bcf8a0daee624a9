/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs the cases selected and prints what came of them, as conformance/README.md says. */
#include "guest/arch.h"
#include "guest/options.h"
#include "guest/print.h"

#include <stdatomic.h>

enum outcome { SUCCESS, SKIP, ERROR, FAILURE };

extern const struct test_case *const __start_cases[];
extern const struct test_case *const __stop_cases[];
extern const struct test_case *const __start_ending_cases[];
extern const struct test_case *const __stop_ending_cases[];

/* What a CPU is doing for the running case. */
struct work {
	struct arch_unwind unwind;
	void (*function)(void *argument);
	void *argument;
	atomic_bool done;
	bool expecting;
	struct fault fault;
};

#define NAME_MAX 96
static struct {
	const struct test_case *test;
	bool within; /* a case: it can be left */
	char name[NAME_MAX];
	_Atomic enum outcome outcome;
	const char *missing;       /* SKIP */
	char reason[NAME_MAX * 2]; /* ERROR */
	atomic_uint met;           /* calls of meet() */
	unsigned int number;
	unsigned int counts[FAILURE + 1];
	struct options options;
	const char *command_line;
	struct work work[CPUS_MAX];
} run;

static void full_name(const struct test_case *test, char name[NAME_MAX])
{
	const char *subject = test->file;
	size_t length = 0;

	for (const char *at = subject; *at; at++)
		if (*at == '/')
			subject = at + 1;
	for (; subject[length] && subject[length] != '.' && length < NAME_MAX / 2; length++)
		name[length] = subject[length];
	name[length++] = '.';
	for (const char *at = test->name; *at && length < NAME_MAX - 1; at++)
		name[length++] = *at;
	name[length] = '\0';
}

static void note_start(void)
{
	print_lock();
	print("# %s: ", run.name);
}

static void note_end(void)
{
	print("\n");
	print_unlock();
}

static __attribute__((format(printf, 1, 0))) void note_list(const char *format, va_list arguments)
{
	note_start();
	print_list(format, arguments);
	note_end();
}

void note(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	note_list(format, arguments);
	va_end(arguments);
}

/* The first outcome that is not SUCCESS stays. */
static _Noreturn void leave(enum outcome outcome)
{
	enum outcome none = SUCCESS;

	atomic_compare_exchange_strong(&run.outcome, &none, outcome);
	arch_unwind(&run.work[arch_this_cpu()].unwind);
}

void skip(const char *missing)
{
	run.missing = missing;
	leave(SKIP);
}

/* ERROR's reason is printed again, after the result: it has to have no directives but these. */
static void remember(const char *text)
{
	size_t length = strlen(text);

	if (length >= sizeof(run.reason))
		length = sizeof(run.reason) - 1;
	memcpy(run.reason, text, length);
	run.reason[length] = '\0';
}

void error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	note_list(format, arguments);
	va_end(arguments);
	remember(format);
	leave(ERROR);
}

void fail(const struct place *place, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	note_start();
	print("%s: ", run.test->reference);
	print_list(format, arguments);
	if (arch_this_cpu())
		print(" on CPU %u", arch_this_cpu());
	print(" (%s:%u)", place->file, place->line);
	note_end();
	va_end(arguments);
	leave(FAILURE);
}

void check_equal(const struct place *place, const char *what, uint64_t got, uint64_t expected)
{
	if (got != expected)
		fail(place, "%s: expected %#lx, got %#lx", what, expected, got);
}

static void print_fault(uint64_t vector, uint64_t code)
{
	const char *name = vector == FAULT_NONE ? "no exception" : arch_fault_name(vector);

	if (name)
		print("%s", name);
	else
		print("exception %lu", vector);
	if (vector != FAULT_NONE && code != ANY_CODE)
		print("(%#lx)", code);
}

void check_fault(const struct place *place, const char *what, struct fault got, uint64_t vector,
                 uint64_t code)
{
	if (got.vector == vector && (code == ANY_CODE || got.code == code))
		return;
	note_start();
	print("%s: %s: expected ", run.test->reference, what);
	print_fault(vector, code);
	print(", got ");
	print_fault(got.vector, got.code);
	print(" (%s:%u)", place->file, place->line);
	note_end();
	leave(FAILURE);
}

void fault_expect(void)
{
	struct work *work = &run.work[arch_this_cpu()];

	work->fault = (struct fault){ .vector = FAULT_NONE };
	work->expecting = true;
}

struct fault fault_end(void)
{
	struct work *work = &run.work[arch_this_cpu()];

	work->expecting = false;
	return work->fault;
}

bool fault_take(const struct fault *fault)
{
	struct work *work = &run.work[arch_this_cpu()];

	if (!work->expecting)
		return false;
	if (work->fault.vector == FAULT_NONE)
		work->fault = *fault;
	return true;
}

void fault_unexpected(const struct fault *fault, void (*more)(const void *), const void *frame)
{
	note_start();
	print("%s: unexpected ", run.test ? run.test->reference : "outside of any case");
	print_fault(fault->vector, fault->code);
	print(" at %#lx, address %#lx, flags %#lx, CPU %u", fault->pc, fault->address, fault->flags,
	      arch_this_cpu());
	note_end();
	print_lock();
	more(frame);
	print_unlock();
	if (!run.within) {
		print("# unusable\n");
		arch_end_machine(true);
	}
	leave(FAILURE);
}

unsigned int cpu_count(void)
{
	return arch_cpu_count();
}

unsigned int this_cpu(void)
{
	return arch_this_cpu();
}

void start_cpu(unsigned int n, void (*function)(void *argument), void *argument)
{
	struct work *work = &run.work[n];

	if (n == 0 || n >= arch_cpu_count())
		error("the case asks for a CPU that is not there");
	work->function = function;
	work->argument = argument;
	work->expecting = false;
	atomic_store(&work->done, false);
	if (!arch_start_cpu(n))
		error("a CPU did not start");
}

void cpu_main(unsigned int n)
{
	struct work *work = &run.work[n];

	arch_protect(&work->unwind, work->function, work->argument);
	atomic_store(&work->done, true);
	arch_park_cpu();
}

void wait_cpu(unsigned int n)
{
	struct limit limit = limit_of(2 * LIMIT_MS);

	while (!atomic_load(&run.work[n].done))
		if (limit_passed(&limit))
			fail(HERE, "CPU %u does not come to an end", n);
	if (atomic_load(&run.outcome) != SUCCESS)
		arch_unwind(&run.work[0].unwind);
}

void on_each_cpu(void (*function)(void *argument), void *argument)
{
	for (unsigned int n = 1; n < arch_cpu_count(); n++)
		start_cpu(n, function, argument);
	function(argument);
	for (unsigned int n = 1; n < arch_cpu_count(); n++)
		wait_cpu(n);
}

void meet(void)
{
	unsigned int count = arch_cpu_count();
	unsigned int all = (atomic_fetch_add(&run.met, 1) / count + 1) * count;

	if (!WAIT_FOR(atomic_load(&run.met) >= all))
		fail(HERE, "not all CPUs come");
}

struct limit limit_of(unsigned int milliseconds)
{
	return (struct limit){ .end = arch_ticks() + milliseconds * arch_ticks_per_ms() };
}

bool limit_passed(struct limit *limit)
{
	if (limit->turns < 10000)
		limit->turns++;
	arch_relax();
	return limit->turns == 10000 && (int64_t)(arch_ticks() - limit->end) > 0;
}

uint64_t option_number(const char *key, uint64_t otherwise)
{
	return options_number(run.command_line, key, otherwise);
}

static void call_case(void *argument)
{
	const struct test_case *test = argument;

	if (test->cpus > arch_cpu_count()) {
		static char needed[] = "00 CPUs";

		needed[0] = (char)('0' + test->cpus / 10);
		needed[1] = (char)('0' + test->cpus % 10);
		skip(needed[0] == '0' ? needed + 1 : needed);
	}
	if (test->ends)
		print("# ends %s\n", test->ends);
	test->run(test);
	if (test->ends)
		fail(HERE, "the machine went on");
}

static void print_result(enum outcome outcome)
{
	print("%sok %u %s", outcome >= ERROR ? "not " : "", run.number, run.name);
	if (outcome == SKIP)
		print(" # SKIP %s", run.missing);
	else if (outcome == ERROR)
		print(" # ERROR %s", run.reason);
	print("\n");
}

static void run_one(const struct test_case *test)
{
	enum outcome outcome;
	bool usable;

	run.test = test;
	run.number++;
	atomic_store(&run.outcome, SUCCESS);
	print("# start %s\n", run.name);
	run.work[0].expecting = false;
	atomic_store(&run.met, 0);
	run.within = true;
	/* The case is only read; the cast is for the general argument. */
	arch_protect(&run.work[0].unwind, call_case, (void *)(uintptr_t)test);
	run.within = false;
	usable = arch_reset();
	print_unlock(); /* whoever held it has been stopped */
	outcome = atomic_load(&run.outcome);
	run.counts[outcome]++;
	print_result(outcome);
	run.test = NULL;
	if (!usable) {
		print("# unusable\n");
		arch_end_machine(true);
	}
}

/* Calls act for the cases selected, in order; returns how many they are. */
static unsigned int each_case(void (*act)(const struct test_case *))
{
	const struct {
		const struct test_case *const *start, *const *stop;
	} sections[] = { { __start_cases, __stop_cases },
		         { __start_ending_cases, __stop_ending_cases } };
	bool reached = !run.options.after;
	unsigned int count = 0;

	for (unsigned int s = 0; s < 2; s++) {
		for (const struct test_case *const *at = sections[s].start; at < sections[s].stop;
		     at++) {
			full_name(*at, run.name);
			if (reached && options_select(&run.options, run.name)) {
				count++;
				act(*at);
			} else if (!reached) {
				reached = options_match(run.options.after, run.name);
			}
		}
	}
	return count;
}

static void count_only(const struct test_case *test)
{
}

static void list_one(const struct test_case *test)
{
	print("# %s: %s\n", run.name, test->reference);
}

void test_main(const char *command_line)
{
	run.options = options_read(command_line);
	run.command_line = command_line;
	print("# conformance %s cpus=%u\n", arch_name, arch_cpu_count());
	print("KTAP version 1\n1..%u\n", each_case(count_only));
	if (run.options.list) {
		each_case(list_one);
		arch_end_machine(false);
	}
	arch_reset();
	each_case(run_one);
	print("# done success=%u skip=%u error=%u failure=%u\n", run.counts[SUCCESS],
	      run.counts[SKIP], run.counts[ERROR], run.counts[FAILURE]);
	arch_end_machine(run.counts[ERROR] || run.counts[FAILURE]);
}
