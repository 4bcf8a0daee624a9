/* SPDX-License-Identifier: BSD-2-Clause */
/* Moves to control registers, for backends that intercept them. */
#include <hypercore/errno.h>

#include "arch/x86_64/internal.h"
#include "emu/x86_64/address.h"

#define CR0_DEFINED                                                                                \
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE |             \
	 X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)

/* What loads PDPTEs if it changes (SDM Vol. 3A 4.4.1). */
#define CR0_LOADS_PDPTES (X86_CR0_CD | X86_CR0_NW | X86_CR0_PG)
#define CR4_LOADS_PDPTES (X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP)

/* SDM Vol. 3A 2.5, 4.1.1, 9.8.5 */
static bool is_valid_cr0(const struct x86_state *s, uint64_t value)
{
	if (value >> 32 || (value & X86_CR0_PG && !(value & X86_CR0_PE)) ||
	    (value & X86_CR0_NW && !(value & X86_CR0_CD)))
		return false;
	if (value & ~s->cr0 & X86_CR0_PG && s->efer & X86_EFER_LME)
		return s->cr4 & X86_CR4_PAE && !(s->seg[X86_CS].attr & X86_ATTR_L);
	/* Leaving long mode's paging is possible from compatibility mode only. */
	if (s->cr0 & ~value & X86_CR0_PG && s->efer & X86_EFER_LMA)
		return !(s->seg[X86_CS].attr & X86_ATTR_L) && !(s->cr4 & X86_CR4_PCIDE);
	return true;
}

/* If these are to be the registers. False: a PDPTE has reserved bits. */
static bool load_pdptes(struct hc_vcpu *vcpu, uint64_t cr0, uint64_t cr3, uint64_t cr4,
                        uint64_t efer)
{
	return !x86_is_pae_paging(cr0, cr4, efer) || x86_load_pdptes(vcpu, cr3);
}

static bool write_cr0(struct hc_vcpu *vcpu, uint64_t value)
{
	struct x86_state *s = x86_state_of(vcpu);

	hc_vcpu_need(vcpu, X86_G_CR | X86_G_CS);
	if (!is_valid_cr0(s, value))
		return false;
	uint64_t efer = s->efer & ~X86_EFER_LMA;

	if (value & X86_CR0_PG && s->efer & X86_EFER_LME)
		efer |= X86_EFER_LMA;
	if ((value ^ s->cr0) & CR0_LOADS_PDPTES && !load_pdptes(vcpu, value, s->cr3, s->cr4, efer))
		return false;
	s->cr0 = (value & CR0_DEFINED) | X86_CR0_ET;
	s->efer = efer;
	hc_vcpu_dirty(vcpu, X86_G_CR);
	return true;
}

/* Bit 63 with PCIDs asks to keep translations, and is not stored (4.10.4.1). */
static bool write_cr3(struct hc_vcpu *vcpu, uint64_t value)
{
	struct x86_state *s = x86_state_of(vcpu);

	hc_vcpu_need(vcpu, X86_G_CR);
	if (s->cr4 & X86_CR4_PCIDE)
		value &= ~HC_BIT(63);
	if (s->efer & X86_EFER_LMA && value & ~x86_vm_of(vcpu->vm)->gpa_mask)
		return false;
	if (!load_pdptes(vcpu, s->cr0, value, s->cr4, s->efer))
		return false;
	s->cr3 = value;
	hc_vcpu_dirty(vcpu, X86_G_CR);
	return true;
}

static bool write_cr4(struct hc_vcpu *vcpu, uint64_t value)
{
	struct x86_state *s = x86_state_of(vcpu);

	hc_vcpu_need(vcpu, X86_G_CR);
	if (value & ~x86_vm_of(vcpu->vm)->cr4_mask)
		return false;
	if (s->efer & X86_EFER_LMA && (!(value & X86_CR4_PAE) || (value ^ s->cr4) & X86_CR4_LA57))
		return false;
	if (value & ~s->cr4 & X86_CR4_PCIDE && (!(s->efer & X86_EFER_LMA) || s->cr3 & 0xfff))
		return false;
	if ((value ^ s->cr4) & CR4_LOADS_PDPTES &&
	    !load_pdptes(vcpu, s->cr0, s->cr3, value, s->efer))
		return false;
	s->cr4 = value;
	hc_vcpu_dirty(vcpu, X86_G_CR);
	return true;
}

static bool write_cr8(struct hc_vcpu *vcpu, uint64_t value)
{
	if (value > 15)
		return false;
	x86_apic_set_cr8(vcpu, (unsigned)value);
	return true;
}

bool x86_write_cr(struct hc_vcpu *vcpu, unsigned number, uint64_t value)
{
	bool ok;

	switch (number) {
	case 0: ok = write_cr0(vcpu, value); break;
	case 3: ok = write_cr3(vcpu, value); break;
	case 4: ok = write_cr4(vcpu, value); break;
	case 8: ok = write_cr8(vcpu, value); break;
	default:
		/* CR2 is not checked and never intercepted; the others do not exist. */
		x86_raise_ud(vcpu);
		return false;
	}
	if (!ok)
		x86_raise_gp(vcpu);
	return ok;
}

/* --- What an instruction writes, where the exit does not say it --- */

static int read_lmsw_source(struct hc_vcpu *vcpu, const struct x86_insn *in, uint16_t *value,
                            struct x86_fault *fault)
{
	const struct x86_state *s = x86_state_of(vcpu);
	gva_t at;
	int rc;

	if (!in->is_mem) {
		*value = (uint16_t)s->gpr[in->rm];
		return 0;
	}
	hc_vcpu_need(vcpu, X86_G_ALL);
	rc = x86_linear(vcpu, (enum x86_seg)in->seg, x86_effective_address(s, in, 0), 2,
	                HC_ACCESS_READ, &at, fault);
	return rc ? rc : x86_read_virt(vcpu, at, value, sizeof(*value), fault);
}

/* PE, MP, EM, TS; PE is set, but not cleared (SDM Vol. 2A, LMSW). */
static int find_lmsw(struct hc_vcpu *vcpu, const struct x86_insn *in, struct hc_exit *exit,
                     struct x86_fault *fault)
{
	const uint64_t cr0 = x86_state_of(vcpu)->cr0;
	uint16_t value;
	int rc = read_lmsw_source(vcpu, in, &value, fault);

	if (rc)
		return rc;
	exit->u.cr.number = 0;
	exit->u.cr.value =
		(cr0 & ~(X86_CR0_MP | X86_CR0_EM | X86_CR0_TS)) | (unsigned)(value & 0xf);
	return 0;
}

int x86_find_cr_write(struct hc_vcpu *vcpu, struct hc_exit *exit, struct x86_fault *fault)
{
	const struct x86_state *s = x86_state_of(vcpu);
	enum x86_mode mode = (enum x86_mode)x86_code_bits(vcpu);
	uint8_t code[X86_INSN_MAX];
	struct x86_insn in;
	int rc = x86_fetch(vcpu, x86_code_address(vcpu), code, sizeof(code), fault);

	if (rc < 0 || x86_decode(&in, code, (unsigned)rc, mode) < 0)
		return -ENOENT;
	exit->next_pc = exit->pc + in.length;
	if (in.op == X86_OP_LMSW)
		return find_lmsw(vcpu, &in, exit, fault);
	if (in.op != X86_OP_MOV_TO_CR)
		return -ENOENT;
	exit->u.cr.number = in.reg;
	/* Outside 64-bit mode the upper half of a register is nobody's (SDM Vol. 1 3.4.1.1). */
	exit->u.cr.value = mode == X86_MODE_64 ? s->gpr[in.rm] : (uint32_t)s->gpr[in.rm];
	return 0;
}
