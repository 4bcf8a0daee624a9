/* SPDX-License-Identifier: BSD-2-Clause */
#include "emu_sys_rig.h"

#include <string.h>

#include "unit.h"

struct rig rig;
struct emu_cpu rig_cpu;

/* --- What run.c, tlb.c and access.c do --- */

_Noreturn void emu_raise_fault(struct emu_cpu *c, const struct emu_uop *u,
                               const struct x86_fault *fault)
{
	c->fault = *fault;
	__builtin_longjmp(c->unwind, 1);
}

_Noreturn void emu_raise(struct emu_cpu *c, const struct emu_uop *u, enum x86_vector vector)
{
	const struct x86_fault fault = { .vector = (uint8_t)vector };

	emu_raise_fault(c, u, &fault);
}

_Noreturn void emu_raise_code(struct emu_cpu *c, const struct emu_uop *u, enum x86_vector vector,
                              uint32_t error_code)
{
	const struct x86_fault fault = { .vector = (uint8_t)vector,
		                         .has_error_code = true,
		                         .error_code = error_code };

	emu_raise_fault(c, u, &fault);
}

_Noreturn void emu_leave(struct emu_cpu *c, const struct emu_uop *u)
{
	c->exit->pc = c->s->rip;
	rig.left = true;
	__builtin_longjmp(c->unwind, 1);
}

static void page_fault(struct emu_cpu *c, uint64_t va, bool present, bool write, bool user)
{
	const struct x86_fault fault = {
		.vector = X86_VEC_PF,
		.has_error_code = true,
		.error_code =
			(present ? X86_PF_P : 0) | (write ? X86_PF_W : 0) | (user ? X86_PF_U : 0),
		.address = va,
	};

	emu_raise_fault(c, NULL, &fault);
}

static void check_page(struct emu_cpu *c, uint64_t va, unsigned access)
{
	bool write = access & EMU_WRITE, user = c->s->cpl == 3 && !(access & EMU_SYSTEM);
	unsigned page = va < RIG_MEMORY ? rig.page[va / HC_PAGE_SIZE] : RIG_ABSENT;

	if (page & RIG_ABSENT)
		page_fault(c, va, false, write, user);
	if ((write && page & RIG_READ_ONLY) || (user && page & RIG_SUPERVISOR))
		page_fault(c, va, true, write, user);
	if (page & RIG_DEVICE) {
		c->exit->reason = HC_EXIT_STAGE2;
		c->exit->u.stage2.gpa = gpa_of(va);
		emu_leave(c, NULL);
	}
}

void emu_probe(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, unsigned size,
               unsigned access)
{
	uint64_t last = va + size - 1;

	check_page(c, va, access);
	if ((va ^ last) / HC_PAGE_SIZE)
		check_page(c, last & EMU_PAGE_MASK, access);
}

void emu_read(struct emu_cpu *c, uint64_t va, void *buf, unsigned size, unsigned access)
{
	assert_true(size <= 64 && access & EMU_READ);
	emu_probe(c, NULL, va, size, access);
	memcpy(buf, rig.memory + va, size);
}

void emu_write(struct emu_cpu *c, uint64_t va, const void *buf, unsigned size, unsigned access)
{
	assert_true(size <= 64 && access & EMU_WRITE);
	emu_probe(c, NULL, va, size, access);
	memcpy(rig_bytes(va, size), buf, size);
	rig.writes++;
}

static int translate(struct hc_vcpu *vcpu, gva_t gva, unsigned access, bool implicit,
                     struct emu_page *page, struct x86_fault *fault)
{
	if (gva.v < RIG_MEMORY && !(rig.page[gva.v / HC_PAGE_SIZE] & RIG_ABSENT))
		return 0;
	*fault = (struct x86_fault){ .vector = X86_VEC_PF,
		                     .has_error_code = true,
		                     .address = gva.v };
	return -EFAULT;
}

static unsigned read_cr8(struct hc_vcpu *vcpu)
{
	return 9;
}

static bool shows(struct hc_vcpu *vcpu, uint32_t leaf, unsigned reg, unsigned bit)
{
	return true;
}

static const struct emu_host_ops host = { .translate = translate,
	                                  .read_cr8 = read_cr8,
	                                  .shows = shows };

/* Limits and canonical form; types are others' tests. */
uint64_t emu_linear(struct emu_cpu *c, const struct emu_uop *u, unsigned seg, uint64_t offset,
                    unsigned size, unsigned access)
{
	const struct x86_segment *g = &c->s->seg[seg];
	enum x86_vector vector = seg == X86_SS ? X86_VEC_SS : X86_VEC_GP;

	if (c->mode & EMU_MODE_64) {
		offset += seg >= X86_FS ? g->base : 0;
		if (!emu_is_canonical(c->s, offset))
			emu_raise_code(c, u, vector, 0);
		return offset;
	}
	if (offset + size - 1 > g->limit || (!emu_is_real(c->s) && !emu_is_present(g)))
		emu_raise_code(c, u, vector, 0);
	return (uint32_t)(g->base + offset);
}

void emu_update_mode(struct emu_cpu *c)
{
	const struct x86_state *s = c->s;
	unsigned attr = s->seg[X86_CS].attr;

	c->mode = EMU_MODE_16;
	if (s->efer & X86_EFER_LMA && attr & X86_ATTR_L)
		c->mode = EMU_MODE_64;
	else if (attr & X86_ATTR_DB)
		c->mode = EMU_MODE_32;
}

void emu_update_tag(struct emu_cpu *c)
{
	/* emu_read() and emu_write() look at CPL. */
}

uint64_t emu_xinuse(const struct x86_state *s)
{
	return s->xcr0;
}

void emu_tlb_flush_all(struct emu_cpu *c)
{
	rig.flush_all++;
}

void emu_tlb_flush_context(struct emu_cpu *c)
{
	rig.flush_context++;
}

void emu_tlb_flush_page(struct emu_cpu *c, uint64_t va)
{
	rig.flush_page++;
	rig.flushed = va;
}

void emu_tlb_load_cr3(struct emu_cpu *c, uint64_t old, uint64_t value, bool keep)
{
	rig.load_cr3++;
	rig.flushed = value;
	rig.kept = keep;
}

/* --- Setting up --- */

void rig_reset(void)
{
	for (unsigned i = 0; i < RIG_PAGES; i++)
		if (rig.written[i])
			memset(rig.memory + i * HC_PAGE_SIZE, 0, HC_PAGE_SIZE);
	memset(&rig, 0, offsetof(struct rig, memory));
	memset(&rig_cpu, 0, offsetof(struct emu_cpu, jumps));
	rig_cpu.s = &rig.state;
	rig_cpu.exit = &rig.exit;
	rig_cpu.host = &host;
	rig.state.rflags = X86_FLAG_1;
	rig.state.dr6 = 0xffff0ff0;
	rig.state.dr7 = 0x400;
	rig.state.idtr.limit = 0x3ff;
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		rig.state.seg[i] = (struct x86_segment){ .attr = 0x93, .limit = 0xffff };
	emu_update_mode(&rig_cpu);
}

void rig_flat(unsigned bits, unsigned cpl)
{
	struct x86_state *s = &rig.state;
	unsigned size = bits == 16 ? 0 : bits == 32 ? X86_ATTR_DB : X86_ATTR_L;

	rig_reset();
	s->cr0 = X86_CR0_PE | X86_CR0_ET;
	if (bits == 64)
		s->efer = X86_EFER_LME | X86_EFER_LMA;
	s->cpl = (uint8_t)cpl;
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		s->seg[i] = (struct x86_segment){
			.selector = (uint16_t)(8 * (i + 1) | cpl),
			.attr = (uint16_t)(0x93 | cpl << 5 | X86_ATTR_G |
			                   (bits == 16 ? 0 : X86_ATTR_DB)),
			.limit = UINT32_MAX,
		};
	s->seg[X86_CS].attr = (uint16_t)(0x9b | cpl << 5 | X86_ATTR_G | size);
	emu_update_mode(&rig_cpu);
}

uint8_t *rig_bytes(uint64_t address, uint64_t n)
{
	assert_true(n && address + n <= RIG_MEMORY);
	rig.written[address / HC_PAGE_SIZE] = rig.written[(address + n - 1) / HC_PAGE_SIZE] = true;
	return rig.memory + address;
}

void rig_put(uint64_t address, uint64_t v, unsigned size)
{
	memcpy(rig_bytes(address, size), &v, size);
}

uint64_t rig_get(uint64_t address, unsigned size)
{
	uint64_t v = 0;

	assert_true(address + size <= RIG_MEMORY);
	memcpy(&v, rig.memory + address, size);
	return v;
}

void rig_descriptor(uint64_t address, uint32_t base, uint32_t limit, unsigned attr)
{
	uint64_t v = limit & 0xffff;

	v |= (uint64_t)(base & 0xffffff) << 16;
	v |= (uint64_t)(attr & 0xff) << 40;
	v |= (uint64_t)(limit >> 16 & 0xf) << 48;
	v |= (uint64_t)(attr >> 8 & 0xf) << 52;
	v |= (uint64_t)(base >> 24) << 56;
	rig_put(address, v, 8);
}

/* --- Running --- */

static __attribute__((noinline)) enum rig_result call(struct emu_call_row row)
{
	rig.left = false;
	rig_cpu.fault.vector = 0xff;
	if (__builtin_setjmp(rig_cpu.unwind))
		return rig.left ? RIG_EXIT : RIG_FAULT;
	row.fn(&rig_cpu, &rig.insn);
	return RIG_OK;
}

/* An instruction that faults leaves the registers as they were; but for RF and DR6 by DR7.GD. */
static void check_unchanged(const struct x86_state *before)
{
	static struct x86_state now;
	const uint8_t *a = (const uint8_t *)before, *b = (const uint8_t *)&now;

	memcpy(&now, &rig.state, sizeof(now)); /* padding and all */
	if (rig_cpu.fault.vector == X86_VEC_DB) {
		now.dr6 = before->dr6;
		now.rflags = before->rflags;
	}
	if (memcmp(a, b, sizeof(now)))
		assert_memory_equal(a, b, sizeof(now)); /* slow, and says where */
}

static enum rig_result step(void)
{
	struct x86_state *s = &rig.state;
	uint64_t va = s->seg[X86_CS].base + s->rip;
	unsigned mode = rig_cpu.mode;
	enum x86_mode bits = mode & EMU_MODE_64   ? X86_MODE_64
	                     : mode & EMU_MODE_32 ? X86_MODE_32
	                                          : X86_MODE_16;
	struct emu_call_row row;
	enum rig_result r;

	if (mode & EMU_MODE_64)
		va = s->rip;
	assert_true(va + X86_INSN_MAX <= RIG_MEMORY);
	if (x86_decode(&rig.insn, rig.memory + va, X86_INSN_MAX, bits) < 0)
		return RIG_NO_INSN;
	row = emu_system_call(&rig.insn);
	if (!row.fn)
		return RIG_NO_INSN;
	r = call(row);
	if (r == RIG_OK && row.kind == EMU_CALL)
		emu_advance(&rig_cpu, &rig.insn);
	return r;
}

enum rig_result rig_step(void)
{
	static struct x86_state before;
	enum rig_result r;

	memcpy(&before, &rig.state, sizeof(before));
	r = step();

	if (r == RIG_FAULT)
		check_unchanged(&before);
	return r;
}

enum rig_result rig_do(const void *bytes, unsigned n)
{
	const struct x86_state *s = &rig.state;
	uint64_t va = rig_cpu.mode & EMU_MODE_64 ? s->rip : s->seg[X86_CS].base + s->rip;

	memcpy(rig_bytes(va, n), bytes, n);
	return rig_step();
}

bool rig_deliver(void)
{
	return emu_deliver_fault(&rig_cpu, &rig_cpu.fault);
}
