/* SPDX-License-Identifier: BSD-2-Clause */
/* What exceptions push, and what becomes of one while another event is delivered (SDM Vol. 3A 6.13,
 * 6.15). */
#ifndef EMU_X86_64_EXCEPTIONS_H
#define EMU_X86_64_EXCEPTIONS_H

#include <hypercore/x86_state.h>

/* Whether the exception pushes an error code in protected mode (table 6-1). */
static inline bool x86_has_error_code(unsigned vector)
{
	const uint32_t with = 1u << X86_VEC_DF | 1u << X86_VEC_TS | 1u << X86_VEC_NP |
	                      1u << X86_VEC_SS | 1u << X86_VEC_GP | 1u << X86_VEC_PF |
	                      1u << X86_VEC_AC;

	return vector < 32 && (with >> vector & 1);
}

enum x86_exception_class { X86_BENIGN, X86_CONTRIBUTORY, X86_PAGE_FAULT, X86_DOUBLE_FAULT };

/* Table 6-4. What is no valid exception is benign. */
static inline enum x86_exception_class x86_exception_class(const struct x86_event *e)
{
	if (!e->valid || e->type != X86_EVENT_EXCEPTION)
		return X86_BENIGN;
	switch (e->vector) {
	case X86_VEC_DE:
	case X86_VEC_TS:
	case X86_VEC_NP:
	case X86_VEC_SS:
	case X86_VEC_GP: return X86_CONTRIBUTORY;
	case X86_VEC_PF: return X86_PAGE_FAULT;
	case X86_VEC_DF: return X86_DOUBLE_FAULT;
	default: return X86_BENIGN;
	}
}

/* Table 6-5, for a second exception while the first is being delivered. */
static inline bool x86_makes_double_fault(enum x86_exception_class first,
                                          enum x86_exception_class second)
{
	if (first == X86_CONTRIBUTORY)
		return second == X86_CONTRIBUTORY;
	return first == X86_PAGE_FAULT && (second == X86_CONTRIBUTORY || second == X86_PAGE_FAULT);
}

#endif
