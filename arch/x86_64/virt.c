/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest virtual memory as instructions see it: segmentation and copies. */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/internal.h"

/* --- Segmentation --- */

static int fault_segment(enum x86_seg seg, struct x86_fault *fault)
{
	*fault = (struct x86_fault){
		.vector = seg == X86_SS ? X86_VEC_SS : X86_VEC_GP,
		.has_error_code = 1,
	};
	return -EFAULT;
}

static bool is_canonical(const struct x86_state *s, uint64_t address)
{
	unsigned shift = s->cr4 & X86_CR4_LA57 ? 7 : 16;

	return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

static int linear_64(const struct x86_state *s, enum x86_seg seg, uint64_t offset, unsigned len,
                     gva_t *gva, struct x86_fault *fault)
{
	/* Only FS and GS have a base in 64-bit mode (SDM Vol. 3A 3.2.4). */
	gva->v = offset + (seg == X86_FS || seg == X86_GS ? s->seg[seg].base : 0);
	if (!is_canonical(s, gva->v) || !is_canonical(s, gva->v + len - 1))
		return fault_segment(seg, fault);
	return 0;
}

/* Types (SDM Vol. 3A table 3-1): bit 3 code; code: bit 1 readable; data: bit 1 writable, bit 2
 * expands down. Real mode's segments are writable data whatever their descriptor was. */
static bool type_allows(const struct x86_state *s, const struct x86_segment *g, unsigned access)
{
	bool code = g->attr & 8, bit1 = g->attr & 2;

	if (!(s->cr0 & X86_CR0_PE) || s->rflags & X86_FLAG_VM)
		return true;
	if (!(g->attr & X86_ATTR_P))
		return false;
	if (access == HC_ACCESS_EXEC)
		return code;
	return access == HC_ACCESS_WRITE ? !code && bit1 : !code || bit1;
}

static bool limit_allows(const struct x86_segment *g, uint32_t first, unsigned len)
{
	uint64_t last = (uint64_t)first + len - 1;
	bool expands_down = (g->attr & 0xc) == 4;

	if (!expands_down)
		return last <= g->limit;
	return first > g->limit && last <= (g->attr & X86_ATTR_DB ? 0xffffffffu : 0xffffu);
}

int x86_linear(struct hc_vcpu *vcpu, enum x86_seg seg, uint64_t offset, unsigned len,
               unsigned access, gva_t *gva, struct x86_fault *fault)
{
	const struct x86_state *s = x86_state_of(vcpu);
	const struct x86_segment *g = &s->seg[seg];

	if (s->efer & X86_EFER_LMA && s->seg[X86_CS].attr & X86_ATTR_L)
		return linear_64(s, seg, offset, len, gva, fault);
	if (!type_allows(s, g, access) || !limit_allows(g, (uint32_t)offset, len))
		return fault_segment(seg, fault);
	gva->v = (uint32_t)(g->base + offset);
	return 0;
}

/* --- Data --- */

void x86_copy_device(struct hc_vcpu *vcpu, uint64_t gpa, uint8_t *buf, unsigned len, bool write)
{
	for (unsigned done = 0, n; done < len; done += n) {
		uint64_t value = 0;

		n = 8;
		while (n > len - done || (gpa + done) % n)
			n /= 2;
		if (write) {
			memcpy(&value, buf + done, n);
			x86_device_write(vcpu, gpa + done, n, value);
		} else {
			value = x86_device_read(vcpu, gpa + done, n);
			memcpy(buf + done, &value, n);
		}
	}
}

static void copy_phys(struct hc_vcpu *vcpu, gpa_t gpa, uint8_t *buf, unsigned len, bool write)
{
	uint8_t *host = hc_mem_ptr(vcpu->vm, gpa, len, write);

	if (!host) {
		x86_copy_device(vcpu, gpa.v, buf, len, write);
	} else if (write) {
		memcpy(host, buf, len);
		hc_mem_wrote(vcpu->vm, gpa, len);
	} else {
		memcpy(buf, host, len);
	}
}

static int copy_virt(struct hc_vcpu *vcpu, gva_t gva, uint8_t *buf, unsigned len, bool write,
                     struct x86_fault *fault)
{
	unsigned access = write ? HC_ACCESS_WRITE : HC_ACCESS_READ;
	unsigned first = (unsigned)hc_min(len, HC_PAGE_SIZE - gva.v % HC_PAGE_SIZE);
	gpa_t gpa[2];
	int rc = x86_translate(vcpu, gva, access, false, &gpa[0], fault);

	if (!rc && first < len)
		rc = x86_translate(vcpu, gva_of(gva.v + first), access, false, &gpa[1], fault);
	if (rc)
		return rc;
	copy_phys(vcpu, gpa[0], buf, first, write);
	if (first < len)
		copy_phys(vcpu, gpa[1], buf + first, len - first, write);
	return 0;
}

int x86_read_virt(struct hc_vcpu *vcpu, gva_t gva, void *buf, unsigned len, struct x86_fault *fault)
{
	return copy_virt(vcpu, gva, buf, len, false, fault);
}

int x86_write_virt(struct hc_vcpu *vcpu, gva_t gva, const void *buf, unsigned len,
                   struct x86_fault *fault)
{
	/* Only read from, since write is set. */
	return copy_virt(vcpu, gva, (uint8_t *)(uintptr_t)buf, len, true, fault);
}
