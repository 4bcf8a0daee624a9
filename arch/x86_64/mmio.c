/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses that stage 2 does not allow: device memory, writes to ROM, and what is nowhere.
 *
 * Nearly all of them are 32-bit moves, which are carried out here from the physical address of the
 * exit; the software CPU does the rest.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/internal.h"
#include "arch/x86_64/software.h"
#include "core/log.h"

#define INSN_MAX 15

/* --- Devices by physical address --- */

/* 10.4.1: registers are accessed by aligned 32-bit loads and stores; others are undefined. Here
 * narrow loads see their part, and stores of other sizes are dropped. */
static uint64_t apic_read(struct hc_vcpu *vcpu, uint32_t offset, unsigned size)
{
	unsigned shift = offset % 4 * 8;
	uint64_t value = x86_apic_mmio_read(vcpu, offset & 0xffc);

	return size < 8 ? (value >> shift) & (HC_BIT(size * 8) - 1) : value;
}

uint64_t x86_device_read(struct hc_vcpu *vcpu, uint64_t gpa, unsigned size)
{
	uint64_t value = 0;

	if (x86_apic_has_page(&x86_vcpu_of(vcpu)->apic, gpa))
		return apic_read(vcpu, gpa & 0xfff, size);
	/* Where nothing answers, the bus gives all ones. */
	(void)hc_bus_read(vcpu->vm, HC_SPACE_MEMORY, gpa, size, &value);
	return value;
}

void x86_device_write(struct hc_vcpu *vcpu, uint64_t gpa, unsigned size, uint64_t value)
{
	if (!x86_apic_has_page(&x86_vcpu_of(vcpu)->apic, gpa))
		(void)hc_bus_write(vcpu->vm, HC_SPACE_MEMORY, gpa, size, value);
	else if (size == 4 && gpa % 4 == 0)
		x86_apic_mmio_write(vcpu, gpa & 0xfff, (uint32_t)value);
}

/* --- 32-bit moves --- */

/* A MOV of 32 bits between memory and a register or from an immediate. */
struct simple_mov {
	uint8_t length, reg;
	bool store, immediate;
	uint32_t value;
};

/* Bytes of SIB and displacement that follow a ModRM byte, with 32- or 64-bit addressing (SDM Vol.
 * 2A 2.1.5). */
static inline unsigned operand_length(const uint8_t *modrm)
{
	unsigned mod = modrm[0] >> 6, rm = modrm[0] & 7;
	unsigned sib = rm == 4;

	if (mod == 1)
		return sib + 1;
	if (mod == 2 || rm == 5 || (sib && (modrm[1] & 7) == 5))
		return sib + 4;
	return sib;
}

/* code has 15 readable bytes. False: something else, for the software CPU. */
static inline bool decode_mov(const uint8_t *code, unsigned bits, struct simple_mov *mov)
{
	const uint8_t *p = code;
	uint8_t rex = 0;

	if (bits == 64 && (*p & 0xf0) == 0x40)
		rex = *p++;
	uint8_t opcode = *p++, modrm = *p;

	if (bits == 16 || rex & 8 || modrm >> 6 == 3)
		return false;
	if (opcode != 0x8b && opcode != 0x89 && (opcode != 0xc7 || modrm & 0x38))
		return false;
	p += 1 + operand_length(p);
	mov->store = opcode != 0x8b;
	mov->immediate = opcode == 0xc7;
	mov->reg = (uint8_t)((modrm >> 3 & 7) | (rex & 4) << 1);
	if (mov->immediate) {
		memcpy(&mov->value, p, 4);
		p += 4;
	}
	mov->length = (uint8_t)(p - code);
	return true;
}

/* Where the instruction's bytes are; NULL if they are not at hand in one piece. */
static const uint8_t *code_of(struct hc_vcpu *vcpu, const struct hc_exit *exit, unsigned bits)
{
	const struct x86_state *s = x86_state_of(vcpu);
	gva_t gva = gva_of(s->rip);
	struct x86_fault fault;
	int rc;

	if (exit->u.stage2.insn_len == INSN_MAX)
		return exit->u.stage2.insn;
	if (bits != 64)
		gva.v = (uint32_t)(s->seg[X86_CS].base + s->rip);
	if (HC_PAGE_SIZE - gva.v % HC_PAGE_SIZE < INSN_MAX)
		return NULL;
	return x86_code_ptr(vcpu, gva, &rc, &fault);
}

/* Segmentation and paging have allowed the access already: it came as far as stage 2. */
static bool do_simple_mov(struct hc_vcpu *vcpu, const struct hc_exit *exit)
{
	struct x86_state *s = x86_state_of(vcpu);
	uint64_t gpa = exit->u.stage2.gpa.v;
	unsigned bits = x86_code_bits(vcpu);
	const uint8_t *code = code_of(vcpu, exit, bits);
	struct simple_mov mov;

	if (!code || gpa % 4 || !decode_mov(code, bits, &mov) ||
	    mov.store != (exit->u.stage2.access == HC_ACCESS_WRITE))
		return false;
	if (!mov.store)
		s->gpr[mov.reg] = (uint32_t)x86_device_read(vcpu, gpa, 4);
	else
		x86_device_write(vcpu, gpa, 4,
		                 mov.immediate ? mov.value : (uint32_t)s->gpr[mov.reg]);
	x86_skip(vcpu, s->rip + mov.length);
	return true;
}

/* --- Everything else --- */

static int soft_fault(int rc, const struct x86_fault *from, struct x86_soft_fault *to)
{
	if (rc != -EFAULT)
		return rc;
	*to = (struct x86_soft_fault){ from->vector, from->has_error_code, from->error_code,
		                       from->address };
	return X86_SOFT_FAULT;
}

static int soft_fetch(void *cpu, gva_t gva, void *bytes, unsigned len, struct x86_soft_fault *out)
{
	struct x86_fault fault;
	int rc = x86_fetch(cpu, gva, bytes, len, &fault);

	return soft_fault(rc > 0 ? 0 : rc, &fault, out);
}

static int soft_read(void *cpu, gva_t gva, void *value, unsigned len, bool will_write,
                     struct x86_soft_fault *out)
{
	struct x86_fault fault;
	gpa_t gpa;
	int rc = 0;

	/* A device is not read unless the result can be written back. */
	if (will_write)
		rc = x86_translate(cpu, gva, HC_ACCESS_WRITE, false, &gpa, &fault);
	if (will_write && !rc)
		rc = x86_translate(cpu, gva_of(gva.v + len - 1), HC_ACCESS_WRITE, false, &gpa,
		                   &fault);
	if (!rc)
		rc = x86_read_virt(cpu, gva, value, len, &fault);
	return soft_fault(rc, &fault, out);
}

static int soft_write(void *cpu, gva_t gva, const void *value, unsigned len,
                      struct x86_soft_fault *out)
{
	struct x86_fault fault;

	return soft_fault(x86_write_virt(cpu, gva, value, len, &fault), &fault, out);
}

static const struct x86_soft_memory soft_memory = { soft_fetch, soft_read, soft_write };

static int fail_step(struct hc_vcpu *vcpu, const struct hc_exit *exit,
                     const struct x86_soft_insn *insn, int rc)
{
	char bytes[3 * INSN_MAX + 1] = "";

	for (unsigned i = 0; i < insn->length; i++)
		hc_snprintf(bytes + 3 * i, 4, " %02x", insn->bytes[i]);
	hc_vm_fail(vcpu->vm,
	           "vcpu %u: rip %#llx accesses %#llx by %s (%s), which is not emulated (%d)",
	           vcpu->id, (unsigned long long)exit->pc, (unsigned long long)exit->u.stage2.gpa.v,
	           insn->name, bytes + (insn->length > 0), rc);
	return HC_ACT_RESUME;
}

static int do_any(struct hc_vcpu *vcpu, const struct hc_exit *exit)
{
	const struct hc_exit_stage2 *a = &exit->u.stage2;
	struct x86_state *s = x86_state_of(vcpu);
	struct x86_soft_insn insn = { .name = "?" };
	struct x86_soft_fault fault;

	hc_vcpu_need(vcpu, X86_G_CR | X86_G_CS | X86_G_SEG);
	int rc = x86_soft_step(s, a->insn, a->insn_len <= INSN_MAX ? a->insn_len : 0, &soft_memory,
	                       vcpu, &fault, &insn);

	hc_vcpu_dirty(vcpu, X86_G_CORE);
	switch (rc) {
	case X86_SOFT_DONE: x86_skip(vcpu, s->rip); return HC_ACT_RESUME;
	case X86_SOFT_REPEAT: return HC_ACT_RESUME; /* RIP still names the instruction */
	case X86_SOFT_FAULT:
		x86_raise(vcpu, &(const struct x86_fault){ fault.vector, fault.has_error_code,
		                                           fault.error_code, fault.address });
		return HC_ACT_RESUME;
	default: return fail_step(vcpu, exit, &insn, rc);
	}
}

/* --- Dispatch --- */

static int fail_access(struct hc_vcpu *vcpu, const struct hc_exit *exit, const char *what)
{
	hc_vm_fail(vcpu->vm, "vcpu %u: %s at %#llx, where there is no memory (rip %#llx)", vcpu->id,
	           what, (unsigned long long)exit->u.stage2.gpa.v, (unsigned long long)exit->pc);
	return HC_ACT_RESUME;
}

int x86_exit_stage2(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	const struct hc_exit_stage2 *a = &exit->u.stage2;
	bool write = a->access == HC_ACCESS_WRITE;

	/* Memory that was mapped meanwhile, or a translation that the CPU remembered too long. */
	if (!x86_apic_has_page(&x86_vcpu_of(vcpu)->apic, a->gpa.v) &&
	    hc_mem_ptr(vcpu->vm, a->gpa, 1, write || a->in_walk))
		return HC_ACT_RESUME;
	if (a->in_walk)
		return fail_access(vcpu, exit, "page tables");
	if (a->access == HC_ACCESS_EXEC)
		return fail_access(vcpu, exit, "code");
	if (do_simple_mov(vcpu, exit))
		return HC_ACT_RESUME;
	return do_any(vcpu, exit);
}
