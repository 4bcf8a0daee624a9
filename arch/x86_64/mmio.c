/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses that stage 2 does not allow: device memory, writes to ROM, and what is nowhere.
 *
 * Nearly all of them are 32-bit moves, for which the physical address of the exit is all there is
 * to know; the software CPU does the rest.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/code_cache.h"
#include "arch/x86_64/internal.h"
#include "core/bus_access.h"
#include "core/log.h"
#include "core/touch.h"

/* --- Devices by physical address --- */

/* 10.4.1: registers are accessed by aligned 32-bit loads and stores; others are undefined. Here
 * narrow loads see their part, and stores of other sizes are dropped. */
static uint64_t apic_read(struct hc_vcpu *vcpu, uint32_t offset, unsigned size)
{
	unsigned shift = offset % 4 * 8;
	uint64_t value = x86_apic_mmio_read(vcpu, offset & 0xffc);

	return size < 8 ? (value >> shift) & (HC_BIT(size * 8) - 1) : value;
}

/* Where nothing answers, the bus gives all ones. Out of line: the local APIC's registers are read
 * more often, and need no stack for it. */
static __attribute__((noinline)) uint64_t read_bus(struct hc_vm *vm, uint64_t gpa, unsigned size)
{
	return hc_bus_read_value(vm, HC_SPACE_MEMORY, gpa, size);
}

uint64_t x86_device_read(struct hc_vcpu *vcpu, uint64_t gpa, unsigned size)
{
	if (x86_apic_has_page(&x86_vcpu_of(vcpu)->apic, gpa))
		return apic_read(vcpu, gpa & 0xfff, size);
	return read_bus(vcpu->vm, gpa, size);
}

void x86_device_write(struct hc_vcpu *vcpu, uint64_t gpa, unsigned size, uint64_t value)
{
	if (!x86_apic_has_page(&x86_vcpu_of(vcpu)->apic, gpa))
		(void)hc_bus_write(vcpu->vm, HC_SPACE_MEMORY, gpa, size, value);
	else if (size == 4 && gpa % 4 == 0)
		x86_apic_mmio_write(vcpu, gpa & 0xfff, (uint32_t)value);
}

/* --- 32-bit moves --- */

/* MOV of 32 bits: to and from a register, to and from EAX by an absolute address, of an immediate.
 */
bool x86_is_move(const struct x86_insn *insn)
{
	if (insn->op != X86_OP_MOV || insn->map != 0 || insn->opsize != 4)
		return false;
	if (insn->opcode == 0xa1 || insn->opcode == 0xa3)
		return true;
	return insn->is_mem &&
	       (insn->opcode == 0x89 || insn->opcode == 0x8b || insn->opcode == 0xc7);
}

static inline bool is_load(const struct x86_insn *move)
{
	return move->opcode == 0x8b || move->opcode == 0xa1;
}

static inline uint32_t read_32(struct hc_vcpu *vcpu, uint64_t gpa)
{
	if (x86_apic_has_page(&x86_vcpu_of(vcpu)->apic, gpa))
		return x86_apic_mmio_read(vcpu, gpa & 0xfff);
	return (uint32_t)read_bus(vcpu->vm, gpa, 4);
}

static inline void write_32(struct hc_vcpu *vcpu, uint64_t gpa, uint32_t value)
{
	if (x86_apic_has_page(&x86_vcpu_of(vcpu)->apic, gpa))
		x86_apic_mmio_write(vcpu, gpa & 0xfff, value);
	else
		(void)hc_bus_write(vcpu->vm, HC_SPACE_MEMORY, gpa, 4, value);
}

/* Of a move that exited for an aligned access of its own kind. Segmentation and paging have allowed
 * it already: it came as far as stage 2. */
static inline __attribute__((always_inline)) void do_move(struct hc_vcpu *vcpu, uint64_t gpa,
                                                          const struct x86_insn *insn)
{
	struct x86_state *s = x86_state_of(vcpu);
	unsigned reg = insn->opcode & 0x20 ? X86_RAX : insn->reg; /* A1, A3 */

	if (is_load(insn))
		s->gpr[reg] = read_32(vcpu, gpa);
	else
		write_32(vcpu, gpa, (uint32_t)(insn->opcode == 0xc7 ? insn->imm : s->gpr[reg]));
	x86_skip(vcpu, s->rip + insn->length);
}

/* --- Everything else --- */

/* The emulator's result of an access: *fault is filled in with -EFAULT. */
static int result(int rc)
{
	return rc == -EFAULT ? X86_EMULATE_FAULT : rc;
}

static int fetch(void *vcpu, gva_t gva, void *bytes, unsigned len, struct x86_fault *fault)
{
	int rc = x86_fetch(vcpu, gva, bytes, len, fault);

	return rc > 0 ? X86_EMULATE_DONE : result(rc);
}

/* A device is not read unless the result can be written back. */
static int check_write(struct hc_vcpu *vcpu, gva_t gva, unsigned len, struct x86_fault *fault)
{
	gpa_t gpa;
	int rc = x86_translate(vcpu, gva, HC_ACCESS_WRITE, false, &gpa, fault);

	return rc ? rc
	          : x86_translate(vcpu, gva_of(gva.v + len - 1), HC_ACCESS_WRITE, false, &gpa,
	                          fault);
}

/* All of [gva, gva + len) is RAM that may be written. */
static bool is_ram(struct hc_vcpu *vcpu, gva_t gva, unsigned len)
{
	struct x86_fault fault;
	gpa_t gpa;

	return gva.v % HC_PAGE_SIZE + len <= HC_PAGE_SIZE &&
	       !x86_translate(vcpu, gva, HC_ACCESS_WRITE, false, &gpa, &fault) &&
	       hc_mem_ptr(vcpu->vm, gpa, len, true);
}

/* What exited was not RAM. If a locked access finds RAM, the code or the tables changed meanwhile:
 * the CPU executes the instruction once more, as only it can do so atomically. */
static int read(void *vcpu, gva_t gva, void *value, unsigned len, unsigned access,
                struct x86_fault *fault)
{
	int rc = access & X86_ACCESS_RMW ? check_write(vcpu, gva, len, fault) : 0;

	if (!rc && access & X86_ACCESS_LOCKED && is_ram(vcpu, gva, len))
		return X86_EMULATE_REPEAT;
	return result(rc ? rc : x86_read_virt(vcpu, gva, value, len, fault));
}

static int write(void *vcpu, gva_t gva, const void *value, unsigned len, unsigned access,
                 struct x86_fault *fault)
{
	return result(x86_write_virt(vcpu, gva, value, len, fault));
}

/* Few accesses need them: they are not fetched before. */
static void vector(void *vcpu, bool change)
{
	hc_vcpu_need(vcpu, X86_G_FPU);
	if (change)
		hc_vcpu_dirty(vcpu, X86_G_FPU);
}

static const struct x86_emulate_ops emulate_ops = { fetch, read, write, vector };

static int fail_step(struct hc_vcpu *vcpu, const struct hc_exit *exit,
                     const struct x86_emulate_ctx *ctx, int rc)
{
	char bytes[3 * X86_INSN_MAX + 1] = "";
	unsigned n = (unsigned)hc_min(ctx->insn.length, ctx->n_bytes);

	for (unsigned i = 0; i < n; i++)
		hc_snprintf(bytes + 3 * i, 4, " %02x", ctx->bytes[i]);
	hc_vm_fail(vcpu->vm,
	           "vcpu %u: rip %#llx accesses %#llx by %s (%s), which is not emulated (%d)",
	           vcpu->id, (unsigned long long)exit->pc, (unsigned long long)exit->u.stage2.gpa.v,
	           x86_op_name(ctx->insn.op), bytes + (n > 0), rc);
	return HC_ACT_RESUME;
}

/* code: X86_INSN_MAX bytes, or NULL: they are fetched. */
static __attribute__((noinline)) int do_any(struct hc_vcpu *vcpu, const struct hc_exit *exit,
                                            const uint8_t *code)
{
	struct x86_state *s = x86_state_of(vcpu);
	struct x86_emulate_ctx ctx = { .ops = &emulate_ops, .opaque = vcpu, .state = s };

	hc_vcpu_need(vcpu, X86_G_CR | X86_G_CS | X86_G_SEG);
	if (code) {
		memcpy(ctx.bytes, code, X86_INSN_MAX);
		ctx.n_bytes = X86_INSN_MAX;
	}
	int rc = x86_emulate_cached(&ctx, &x86_vcpu_of(vcpu)->decoded);

	hc_vcpu_dirty(vcpu, X86_G_CORE);
	switch (rc) {
	case X86_EMULATE_DONE: x86_skip(vcpu, s->rip); return HC_ACT_RESUME;
	case X86_EMULATE_REPEAT: return HC_ACT_RESUME; /* RIP still names the instruction */
	case X86_EMULATE_FAULT: x86_raise(vcpu, &ctx.fault); return HC_ACT_RESUME;
	default: return fail_step(vcpu, exit, &ctx, rc);
	}
}

static inline bool can_move(const struct hc_exit_stage2 *a, const struct x86_insn *insn)
{
	return a->gpa.v % 4 == 0 && is_load(insn) == (a->access == HC_ACCESS_READ);
}

/* The hardware gave the bytes: the guest's memory need not be looked at. */
static __attribute__((noinline)) int do_given(struct hc_vcpu *vcpu, const struct hc_exit *exit)
{
	const struct hc_exit_stage2 *a = &exit->u.stage2;
	const struct x86_insn *insn =
		x86_decode_cached(&x86_vcpu_of(vcpu)->decoded, a->insn, x86_state_of(vcpu)->rip,
	                          (enum x86_mode)x86_code_bits(vcpu));

	if (!insn || !x86_is_move(insn) || !can_move(a, insn))
		return do_any(vcpu, exit, a->insn);
	do_move(vcpu, a->gpa.v, insn);
	return HC_ACT_RESUME;
}

/* --- Dispatch --- */

/* Not a device's: what it comes to. */
static __attribute__((noinline)) bool is_settled(struct hc_vcpu *vcpu, const struct hc_exit *exit)
{
	const struct hc_exit_stage2 *a = &exit->u.stage2;
	bool write = a->access == HC_ACCESS_WRITE;

	/* Memory that is touched for the first time, or was mapped meanwhile; a translation that
	 * the CPU remembered too long; or write-protected for the dirty log, where a walk that sets
	 * flags in a table writes, too. */
	if (!x86_apic_has_page(&x86_vcpu_of(vcpu)->apic, a->gpa.v) &&
	    hc_mem_ptr(vcpu->vm, a->gpa, 1, write || a->in_walk)) {
		hc_mem_fault(vcpu->vm, a->gpa);
		if (write || a->in_walk)
			(void)hc_dirty_fault(vcpu->vm, a->gpa);
		return true;
	}
	if (a->in_walk || a->access != HC_ACCESS_EXEC)
		return false;
	hc_vm_fail(vcpu->vm, "vcpu %u: code at %#llx, where there is no memory (rip %#llx)",
	           vcpu->id, (unsigned long long)a->gpa.v, (unsigned long long)exit->pc);
	return true;
}

/* The page and the memory slots in which it is a device's. */
static inline uint64_t device_page(struct hc_vcpu *vcpu, uint64_t gpa)
{
	return HC_ALIGN_DOWN(gpa, HC_PAGE_SIZE) | x86_walk_epoch(vcpu->vm);
}

/* Data of a page that is not in any slot. The local APIC's covers what slot there may be. */
static inline bool is_known_device(struct hc_vcpu *vcpu, const struct hc_exit_stage2 *a)
{
	const struct x86_vcpu *x = x86_vcpu_of(vcpu);

	return !a->in_walk && a->access != HC_ACCESS_EXEC &&
	       x->device_page == device_page(vcpu, a->gpa.v);
}

int x86_exit_stage2(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	const struct hc_exit_stage2 *a = &exit->u.stage2;

	if (!is_known_device(vcpu, a)) {
		if (is_settled(vcpu, exit))
			return HC_ACT_RESUME;
		/* Tables that are not in memory: the emulator walks them, and finds the access. */
		if (a->in_walk)
			return do_any(vcpu, exit, NULL);
		if (!hc_mem_ptr(vcpu->vm, a->gpa, 1, false))
			x86_vcpu_of(vcpu)->device_page = device_page(vcpu, a->gpa.v);
	}
	if (a->insn_len == X86_INSN_MAX)
		return do_given(vcpu, exit);
	const struct x86_code *code = x86_code_here(vcpu);

	if (!code || !code->is_move || !can_move(a, &code->insn))
		return do_any(vcpu, exit, code ? code->bytes : NULL);
	do_move(vcpu, a->gpa.v, &code->insn);
	return HC_ACT_RESUME;
}

/* --- Accesses that the backend decoded --- */

static void access_port(struct hc_vm *vm, const struct hc_exit_bus *b)
{
	if (b->write)
		(void)hc_bus_write(vm, HC_SPACE_IO, b->address, b->width, *b->value);
	else
		*b->value = hc_bus_read_value(vm, HC_SPACE_IO, b->address, b->width);
}

static void access_memory(struct hc_vcpu *vcpu, const struct hc_exit_bus *b)
{
	uint8_t bytes[8] = { 0 };

	if (b->write)
		memcpy(bytes, b->value, sizeof(bytes));
	x86_copy_device(vcpu, b->address, bytes, b->width, b->write);
	if (!b->write)
		memcpy(b->value, bytes, sizeof(bytes));
}

/* No port access is wider than 4 bytes. */
int x86_exit_bus(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	const struct hc_exit_bus *b = &exit->u.bus;

	if (b->space == HC_SPACE_IO && (b->width == 1 || b->width == 2 || b->width == 4))
		access_port(vcpu->vm, b);
	else if (b->space == HC_SPACE_MEMORY && b->width && b->width <= 8)
		access_memory(vcpu, b);
	else
		return hc_error(-EINVAL, "%s: %u bytes in space %u", vcpu->vm->name, b->width,
		                b->space);
	return HC_ACT_RESUME;
}
