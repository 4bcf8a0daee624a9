/* SPDX-License-Identifier: BSD-2-Clause */
/* What breaks which rule of VM entry's checks: the table is in test_vmx_check_table.c. */
#ifndef TESTS_TEST_VMX_CHECK_H
#define TESTS_TEST_VMX_CHECK_H

#include "tests/model/vmx_cpu.h"

/* CPUs that there are not, for rules that no other could break. */
extern struct model_features odd_cpu, poor_cpu;

/* In which mode the guest of a good VMCS is. */
enum mode {
	LONG,       /* 64-bit mode, CPL 0 */
	LONG_USER,  /* the same, CPL 3, SS usable */
	COMPAT,     /* compatibility mode, CPL 3 */
	PAE,        /* protected mode, PAE paging */
	PAGING,     /* the same with 32-bit paging, CPL 3 */
	V8086,      /* virtual-8086 mode */
	REAL,       /* from here on for unrestricted guests: real mode */
	REAL_RESET, /* the same with CS as after reset: far above its selector */
	FLAT,       /* protected mode without paging */
	MODES
};

enum op { END, TO, OR, NOT };

struct change {
	enum op op;
	uint32_t field;
	uint64_t value;
};

/* before leaves a VMCS that passes; change makes it break the rule, and no rule before it. */
struct breaker {
	const char *rule;
	const struct model_features *cpu; /* NULL: a 32-bit host on rig_full */
	enum mode mode;
	struct change before[7], change;
};

extern const struct breaker breakers[];
extern const unsigned breaker_count;

#endif
