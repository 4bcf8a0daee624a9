/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/trace.h"

#include "core/log.h"
#include "core/vm.h"

static void dump_one(const struct hc_vcpu *vcpu, const struct hc_trace_record *r, uint64_t end)
{
	static const char *const kinds[] = { "exit", "inject", "state", "error" };
	unsigned kind = HC_TRACE_KIND(r->what);
	const char *what = kind == HC_TRACE_EXIT ? hc_exit_reason_name(HC_TRACE_CODE(r->what)) : "";

	hc_log(HC_LOG_INFO, "vm %s vcpu %u: -%llu cycles: %s %s pc %#llx arg %#llx extra %#x",
	       vcpu->vm->name, vcpu->id, (unsigned long long)(end - r->cycles), kinds[kind & 3],
	       what, (unsigned long long)r->pc, (unsigned long long)r->arg,
	       HC_TRACE_EXTRA(r->what));
}

void hc_trace_dump(struct hc_vcpu *vcpu, unsigned n)
{
	const struct hc_trace *t = &vcpu->trace;
	uint64_t have = hc_min(t->written, HC_TRACE_RECORDS);
	uint64_t count = hc_min(n, have);
	uint64_t end = t->written ? t->ring[(t->written - 1) % HC_TRACE_RECORDS].cycles : 0;

	for (uint64_t i = t->written - count; i < t->written; i++)
		dump_one(vcpu, &t->ring[i % HC_TRACE_RECORDS], end);
}
