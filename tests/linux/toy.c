/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/linux/toy.h"

#include <hypercore/errno.h>
#include <string.h>

#include "arch/x86_64/x86.h"
#include "core/log.h"
#include "core/sched.h"
#include "platform/linux/linux.h"
#include "platform/linux/measure.h"

#define SLOW_ROUND_NS 100000

struct toy {
	bool shutdown; /* an exception came, and there is no IDT */
	unsigned measuring;
};

/* --- Life --- */

static int probe(struct hc_backend_info *info)
{
	hc_snprintf(info->reason, sizeof(info->reason), "interprets some instructions");
	info->gpa_bits = 40;
	return 0;
}

static int probe_absent(struct hc_backend_info *info)
{
	hc_snprintf(info->reason, sizeof(info->reason), "is never there");
	return -ENODEV;
}

static int cpu_enable(struct hc_cpu *cpu)
{
	return 0;
}

static void cpu_disable(struct hc_cpu *cpu)
{
}

static int vm_create(struct hc_vm *vm)
{
	return 0;
}

static void vm_destroy(struct hc_vm *vm)
{
}

static int vcpu_create(struct hc_vcpu *vcpu)
{
	vcpu->backend_data = hc_platform_alloc(sizeof(struct toy));
	return vcpu->backend_data ? 0 : -ENOMEM;
}

static void vcpu_destroy(struct hc_vcpu *vcpu)
{
	hc_platform_free(vcpu->backend_data, sizeof(struct toy));
}

static void load(struct hc_vcpu *vcpu)
{
}

static void put(struct hc_vcpu *vcpu)
{
}

static void all_groups(struct hc_vcpu *vcpu, uint32_t groups)
{
}

static int inject(struct hc_vcpu *vcpu, const struct x86_event *event)
{
	struct toy *t = vcpu->backend_data;

	if (event->type != X86_EVENT_EXCEPTION)
		return -EAGAIN;
	t->shutdown = true;
	return 0;
}

static void request_window(struct hc_vcpu *vcpu, bool nmi)
{
}

static void invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
}

static void explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size)
{
	hc_snprintf(buf, size, "the toy CPU does not know opcode %#llx",
	            (unsigned long long)exit->u.raw.code);
}

/* --- Instructions --- */

struct step {
	struct hc_vcpu *vcpu;
	struct x86_state *s;
	const uint8_t *code;
	struct hc_exit *exit;
};

static void set_al(struct x86_state *s, uint8_t value)
{
	s->gpr[X86_RAX] = (s->gpr[X86_RAX] & ~UINT64_C(0xff)) | value;
}

static void set_zf(struct x86_state *s, uint64_t value)
{
	s->rflags = (s->rflags & ~(uint64_t)X86_FLAG_ZF) | (value ? 0 : X86_FLAG_ZF);
}

static uint32_t immediate(const uint8_t *p, unsigned size)
{
	uint32_t v = 0;

	memcpy(&v, p, size);
	return v;
}

static bool leave(struct step *st, enum hc_exit_reason reason, unsigned len)
{
	st->exit->reason = reason;
	st->exit->next_pc = st->s->rip + len;
	return true;
}

static bool port(struct step *st, bool write, uint8_t width, unsigned len)
{
	st->exit->u.io = (struct hc_exit_io){ .port = (uint16_t)st->s->gpr[X86_RDX],
		                              .width = width,
		                              .write = write };
	return leave(st, HC_EXIT_IO, len);
}

static bool go_on(struct step *st, unsigned len)
{
	st->s->rip += len;
	return false;
}

static bool jump(struct step *st, bool taken)
{
	go_on(st, 2);
	if (taken)
		st->s->rip += (uint64_t)(int64_t)(int8_t)st->code[1];
	return false;
}

static bool unknown(struct step *st)
{
	st->exit->u.raw.code = st->code[0];
	return leave(st, HC_EXIT_UNKNOWN, 0);
}

static bool load_al(struct step *st)
{
	const uint8_t *p = hc_mem_ptr(st->vcpu->vm, gpa_of(st->s->gpr[X86_RSI]), 1, false);

	set_al(st->s, p ? *p : 0xff);
	return go_on(st, 2);
}

static bool two_bytes(struct step *st)
{
	uint64_t *gpr = st->s->gpr;

	switch (st->code[0] << 8 | st->code[1]) {
	case 0x66b8: gpr[X86_RAX] = immediate(st->code + 2, 2); return go_on(st, 4);
	case 0x66ef: return port(st, true, 2, 2);
	case 0x0fa2: return leave(st, HC_EXIT_CPUID, 2);
	case 0x0f0b: return leave(st, HC_EXIT_SHUTDOWN, 0);
	case 0x8a06: return load_al(st);
	case 0x84c0: set_zf(st->s, gpr[X86_RAX] & 0xff); return go_on(st, 2);
	case 0xffc6: gpr[X86_RSI] = (uint32_t)(gpr[X86_RSI] + 1); return go_on(st, 2);
	default: return unknown(st);
	}
}

/* True: the guest is left. */
static bool execute(struct step *st)
{
	uint64_t *gpr = st->s->gpr;
	bool zero = st->s->rflags & X86_FLAG_ZF;

	switch (st->code[0]) {
	case 0xb0: set_al(st->s, st->code[1]); return go_on(st, 2);
	case 0xba: gpr[X86_RDX] = immediate(st->code + 1, 4); return go_on(st, 5);
	case 0xbe: gpr[X86_RSI] = immediate(st->code + 1, 4); return go_on(st, 5);
	case 0xec: return port(st, false, 1, 1);
	case 0xee: return port(st, true, 1, 1);
	case 0xa8: set_zf(st->s, gpr[X86_RAX] & st->code[1]); return go_on(st, 2);
	case 0x3c: set_zf(st->s, (uint8_t)(gpr[X86_RAX] - st->code[1])); return go_on(st, 2);
	case 0x74: return jump(st, zero);
	case 0x75: return jump(st, !zero);
	case 0xeb: return jump(st, true);
	case 0xf4: return leave(st, HC_EXIT_HALT, 1);
	default: return two_bytes(st);
	}
}

/* --- The measuring guest, a round at a time: its two exits, and the count. --- */

static bool is_measuring(const struct step *st)
{
	return !memcmp(st->code, linux_measure_guest, 16);
}

static bool measure_round(struct step *st, bool slow)
{
	struct toy *t = st->vcpu->backend_data;
	uint64_t *count = hc_mem_ptr(st->vcpu->vm, gpa_of(st->s->gpr[X86_RBP]), 8, true);
	uint64_t until = linux_cpu_time_ns(st->vcpu->cpu) + (slow ? SLOW_ROUND_NS : 0);

	while (linux_cpu_time_ns(st->vcpu->cpu) < until)
		;
	st->s->gpr[X86_RDX] = 0x80;
	if (++t->measuring & 1)
		return leave(st, HC_EXIT_CPUID, 0);
	__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
	return port(st, true, 1, 0);
}

/* --- run() --- */

static bool step(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct x86_state *s = x86_state_of(vcpu);
	struct step st = { vcpu, s, hc_mem_ptr(vcpu->vm, gpa_of(s->rip), 16, false), exit };

	exit->pc = s->rip;
	if (!st.code)
		return leave(&st, HC_EXIT_SHUTDOWN, 0);
	if (is_measuring(&st))
		return measure_round(&st, vcpu->backend == &toy_slow_backend);
	return execute(&st);
}

static void run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct toy *t = vcpu->backend_data;

	vcpu->valid = X86_G_ALL;
	vcpu->dirty = 0;
	if (t->shutdown) {
		*exit = (struct hc_exit){ .reason = HC_EXIT_SHUTDOWN };
		return;
	}
	do {
		if (atomic_exchange(&vcpu->cpu->attention, false)) {
			exit->reason = HC_EXIT_INTERRUPT;
			exit->pc = x86_state_of(vcpu)->rip;
			return;
		}
	} while (!step(vcpu, exit));
}

#define TOY(name_, probe_)                                                                         \
	{                                                                                          \
		.name = name_, .isa = HC_ISA_X86_64, .probe = probe_, .cpu_enable = cpu_enable,    \
		.cpu_disable = cpu_disable, .vm_create = vm_create, .vm_destroy = vm_destroy,      \
		.vcpu_create = vcpu_create, .vcpu_destroy = vcpu_destroy, .load = load,            \
		.put = put, .run = run, .get_state = all_groups, .set_state = all_groups,          \
		.inject = inject, .request_window = request_window, .invalidate = invalidate,      \
		.explain = explain,                                                                \
	}

const struct hc_backend_ops toy_backend = TOY("toy", probe);
const struct hc_backend_ops toy_slow_backend = TOY("toy-slow", probe);
const struct hc_backend_ops toy_absent_backend = TOY("toy-absent", probe_absent);
