/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last things that happened to a vCPU, in a ring of fixed records. Each vCPU has one, written
 * by its own CPU without a lock. Printed when a VM fails.
 */
#ifndef CORE_TRACE_H
#define CORE_TRACE_H

#include <hypercore/types.h>

#define HC_TRACE_RECORDS 64 /* a power of two */

enum hc_trace_kind { HC_TRACE_EXIT, HC_TRACE_INJECT, HC_TRACE_STATE, HC_TRACE_ERROR };

struct hc_trace_record {
	uint64_t cycles;
	uint64_t pc;
	uint64_t arg;  /* exit: its u.word; inject: vector */
	uint64_t what; /* HC_TRACE_WHAT() */
};

/* kind: enum hc_trace_kind; code: enum hc_exit_reason, or an injected event's type; extra: its
 * error code. One word, so that a record is four stores. */
#define HC_TRACE_WHAT(kind, code, extra)                                                           \
	((uint64_t)(kind) | (uint64_t)(code) << 16 | (uint64_t)(extra) << 32)
#define HC_TRACE_KIND(what)  ((unsigned)(what)&0xffff)
#define HC_TRACE_CODE(what)  ((unsigned)((what) >> 16) & 0xffff)
#define HC_TRACE_EXTRA(what) ((unsigned)((what) >> 32))

_Static_assert(sizeof(struct hc_trace_record) == 32, "two to a cache line");

struct hc_trace {
	uint64_t written;
	struct hc_trace_record ring[HC_TRACE_RECORDS];
};

static inline struct hc_trace_record *hc_trace_next(struct hc_trace *t)
{
	return &t->ring[t->written++ & (HC_TRACE_RECORDS - 1)];
}

struct hc_vcpu;

/* Logs the last n records, oldest first, one line each. */
void hc_trace_dump(struct hc_vcpu *vcpu, unsigned n);

#endif
