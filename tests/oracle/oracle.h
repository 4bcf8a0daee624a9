/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Differential tests of instructions. A case is one instruction, the user-mode state before it and
 * the memory in its reach. Executors run it; what they end with is compared. The judge is the host
 * CPU (native.c) or, in a program of its own, Unicorn (unicorn.c); the others are this project's
 * software (emulate.c, engine.c).
 *
 * All run in user mode with the same linear address space, below 4 GiB so that every mode and
 * address size but 16 bits reaches it: one page of code, three pages of data, the last of them
 * read-only, and nothing around them.
 */
#ifndef TESTS_ORACLE_ORACLE_H
#define TESTS_ORACLE_ORACLE_H

#include <stddef.h>

#include "emu/x86_64/decode.h"

/* Linear addresses. */
#define ORACLE_CODE      UINT64_C(0x10000000) /* one page, executable and readable */
#define ORACLE_DATA      UINT64_C(0x20000000) /* pages: writable, writable, read-only */
#define ORACLE_DATA_SIZE (3 * HC_PAGE_SIZE)
#define ORACLE_READ_ONLY (2 * HC_PAGE_SIZE) /* where in the data the read-only page begins */

/* XSAVE, standard format: the legacy region, the header and the upper halves of YMM0 to YMM15
 * (SDM Vol. 1 13.4). */
#define ORACLE_XSAVE_SIZE   832
#define ORACLE_XSAVE_HEADER 512
#define ORACLE_XSAVE_YMM    576
#define ORACLE_XCR0         UINT64_C(7) /* x87, SSE, AVX */

struct oracle_state {
	uint64_t gpr[X86_GPR_COUNT];
	uint64_t rip, rflags;
	uint64_t fs_base, gs_base; /* 64-bit mode; else FS and GS hold null selectors */
	_Alignas(64) uint8_t xsave[ORACLE_XSAVE_SIZE];
};

/* Where execution may end besides after the instruction. */
#define ORACLE_COMPLETED 0xff

struct oracle_outcome {
	struct oracle_state state;
	uint8_t memory[ORACLE_DATA_SIZE];
	uint8_t vector; /* of the exception, or ORACLE_COMPLETED */
	uint32_t error_code;
	uint64_t cr2; /* page faults */
};

struct oracle_case {
	struct oracle_state state; /* rip: where the code is, in the code page */
	uint8_t memory[ORACLE_DATA_SIZE];
	uint8_t code[16]; /* the instruction and bytes that do not matter */
	uint8_t mode;     /* enum x86_mode: 32 or 64 */
	bool step;        /* a branch: ends by the single-step trap wherever it goes */
	bool undefined;   /* the decoder says #UD; insn.length is 0 */
	struct x86_insn insn;
	uint64_t target; /* where the memory operand was aimed at; 0: nowhere */
};

enum oracle_result {
	ORACLE_RAN,         /* the outcome is filled in */
	ORACLE_UNSUPPORTED, /* the executor does not have this instruction */
	ORACLE_LOST         /* it did not come back */
};

struct oracle_leeway;

/* Something that executes cases. */
struct oracle_executor {
	const char *name;
	bool has_vectors; /* state.xsave is executed upon */
	bool has_faults;  /* error_code and cr2 are told */
	bool has_mode_32;
	/* 0, or -E... when the machine cannot do it. */
	int (*open)(void);
	void (*close)(void);
	/* n cases, n outcomes, n results. */
	void (*run)(const struct oracle_case *cases, struct oracle_outcome *outcomes,
	            enum oracle_result *results, unsigned n);
	/* Of a judge: what others may do differently in a case that ended so. */
	struct oracle_leeway (*known)(const struct oracle_case *c,
	                              const struct oracle_outcome *judged);
};

extern const struct oracle_executor oracle_native, oracle_emulate, oracle_engine;

/* With whom main.c compares. */
extern const struct oracle_executor *const oracle_judge;

/* The most cases that run() is given. */
#define ORACLE_BATCH 64

/* --- generate.c --- */

/* Lists the instructions to make cases of; names: NULL, or names with commas between: only those
 * whose name in ops.h is so or, in lower case, in Capstone begins so. vectors: SIMD and x87, too.
 * Returns how many there are. */
unsigned oracle_list(const char *names, bool vectors, enum x86_mode mode);

/* Case number `index` of the sequence of `seed`; the same for the same list. */
void oracle_generate(struct oracle_case *c, uint64_t seed, uint64_t index, enum x86_mode mode);

/* Why an instruction cannot be compared with the host's; NULL: it can. */
const char *oracle_excluded(const struct x86_insn *in);

/* --- compare.c --- */

/* What two executors may do differently in a case (known.c). */
struct oracle_leeway {
	uint64_t flags;    /* these flags are not compared */
	uint32_t mxcsr;    /* nor these bits of MXCSR */
	uint16_t fsw;      /* nor these of FSW */
	bool all;          /* nothing is */
	bool destination;  /* the register operand is not */
	bool upper_halves; /* of general registers only the lower 32 bits are */
	bool address;      /* CR2 and the error code of page faults are not */
	bool exponents;    /* bits 79:64 of x87 registers are not */
	bool environment;  /* x87's last instruction and its pointers in memory are not */
};

struct oracle_leeway oracle_known(const struct oracle_case *c, const struct oracle_outcome *judged);

/* The linear address of the ModRM operand; of a gather, without its indices. */
uint64_t oracle_linear(const struct oracle_case *c);

/* Adds what another leeway allows. */
void oracle_allow(struct oracle_leeway *sum, const struct oracle_leeway *more);

/* true: they agree. Else says in `text` (size bytes) how not, one line each. */
bool oracle_same(const struct oracle_case *c, const struct oracle_executor *judge,
                 const struct oracle_executor *executor, const struct oracle_outcome *judged,
                 const struct oracle_outcome *executed, char *text, size_t size);

/* The instruction's bytes and disassembly, and the registers before it. */
void oracle_describe(const struct oracle_case *c, char *text, size_t size);

#endif
