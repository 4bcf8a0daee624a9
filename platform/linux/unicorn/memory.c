/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's virtual memory as Unicorn has it: what a real CPU's TLB is, in pieces of whatever
 * size the guest's tables map at a time. Device memory is never among them, nor what a guest has
 * not touched; a piece that was only read cannot be written until its dirty bit is set.
 */
#include <hypercore/freestanding.h>

#include "platform/linux/unicorn/internal.h"

/* --- Pieces --- */

const struct unicorn_region *unicorn_region_at(const struct unicorn_vcpu *v, uint64_t gva)
{
	for (unsigned i = 0; i < v->region_count; i++)
		if (gva - v->regions[i].gva < v->regions[i].size)
			return &v->regions[i];
	return NULL;
}

/* Translations that Unicorn made of the code that was there before. */
static void forget_code_of(struct unicorn_vcpu *v, const struct unicorn_region *r)
{
	if (r->perms & UC_PROT_EXEC)
		(void)uc_ctl_remove_cache(v->u.uc, r->gva, r->gva + r->size);
}

void unicorn_forget_code(struct unicorn_vcpu *v)
{
	for (unsigned i = 0; i < v->region_count; i++)
		forget_code_of(v, &v->regions[i]);
}

void unicorn_unmap_all(struct unicorn_vcpu *v)
{
	unicorn_forget_code(v);
	for (unsigned i = 0; i < v->region_count; i++)
		(void)uc_mem_unmap(v->u.uc, v->regions[i].gva, v->regions[i].size);
	v->region_count = 0;
	v->code = NULL;
	v->slots = v->u.vcpu->vm->memory.count;
}

static bool widen(struct unicorn_vcpu *v, struct unicorn_region *r, uint32_t perms)
{
	r->perms |= perms;
	v->u.err = uc_mem_protect(v->u.uc, r->gva, r->size, r->perms);
	return v->u.err == UC_ERR_OK;
}

/* An access that a piece did not allow is either allowed now, or the tables say something else now
 * than when it was made: then it goes, as a page fault drops a translation (SDM Vol. 3A 4.10.4.1).
 */
void unicorn_map(struct unicorn_vcpu *v, const struct unicorn_region *region)
{
	const struct unicorn_region *old = unicorn_region_at(v, region->gva);

	if (old && old->gva == region->gva && old->size == region->size &&
	    old->host == region->host && widen(v, &v->regions[old - v->regions], region->perms)) {
		forget_code_of(v, old);
		return;
	}
	if (old || v->region_count == UNICORN_REGIONS)
		unicorn_unmap_all(v);
	v->u.err = uc_mem_map_ptr(v->u.uc, region->gva, region->size, region->perms, region->host);
	if (v->u.err != UC_ERR_OK)
		return;
	v->regions[v->region_count++] = *region;
	forget_code_of(v, region);
}

/* --- Pages --- */

static uint32_t perms_of(unsigned access)
{
	switch (access) {
	case HC_ACCESS_WRITE: return UC_PROT_READ | UC_PROT_WRITE;
	case HC_ACCESS_EXEC: return UC_PROT_READ | UC_PROT_EXEC;
	default: return UC_PROT_READ;
	}
}

/* All of what the entry of the guest's table maps, if it is in one slot; else the page. */
static bool fill_in(struct unicorn_vcpu *v, uint64_t gva, unsigned access,
                    const struct x86_mapping *m, struct unicorn_region *r)
{
	struct hc_vm *vm = v->u.vcpu->vm;
	bool write = access == HC_ACCESS_WRITE;
	uint64_t gpa = HC_ALIGN_DOWN(m->gpa.v, m->span);

	*r = (struct unicorn_region){ HC_ALIGN_DOWN(gva, m->span), m->span, NULL,
		                      perms_of(access) };
	if (x86_vcpu_of(v->u.vcpu)->apic.base - gpa >= m->span)
		r->host = unicorn_x86_host()->mem_ptr(vm, gpa_of(gpa), m->span, write);
	if (r->host)
		return true;
	if (x86_apic_has_page(&x86_vcpu_of(v->u.vcpu)->apic, m->gpa.v))
		return false;
	r->gva = HC_ALIGN_DOWN(gva, HC_PAGE_SIZE);
	r->size = HC_PAGE_SIZE;
	r->host = unicorn_x86_host()->mem_ptr(vm, m->gpa, HC_PAGE_SIZE, write);
	return r->host != NULL;
}

static void make_stage2(struct hc_exit *exit, uint64_t gpa, unsigned access, bool in_walk)
{
	exit->reason = HC_EXIT_STAGE2;
	exit->u.stage2 = (struct hc_exit_stage2){ .gpa = gpa_of(gpa),
		                                  .access = (uint8_t)access,
		                                  .in_walk = in_walk };
}

static bool is_canonical(uint64_t gva)
{
	return (uint64_t)((int64_t)(gva << 16) >> 16) == gva;
}

/* Where the stack's own address is not canonical it would be #SS (SDM Vol. 1 3.3.7.1): which
 * segment an access was through is not known here. */
bool unicorn_find_page(struct unicorn_vcpu *v, uint64_t gva, unsigned access,
                       struct unicorn_region *region, struct hc_exit *exit)
{
	struct x86_fault fault = { 0 };
	struct x86_mapping m;

	if (!is_canonical(gva)) {
		(void)unicorn_raise_vector(v, exit, X86_VEC_GP);
		return false;
	}
	int rc = unicorn_x86_host()->translate_page(v->u.vcpu, gva_of(gva), access, false, &m,
	                                            &fault);

	if (rc == -EFAULT) {
		(void)unicorn_raise(v, exit, &fault);
		return false;
	}
	if (rc) {
		make_stage2(exit, fault.address, HC_ACCESS_READ, true);
		return false;
	}
	if (fill_in(v, gva, access, &m, region))
		return true;
	make_stage2(exit, m.gpa.v + gva % HC_PAGE_SIZE, access, false);
	return false;
}

/* --- Accesses of our own, for what the CPU reads and writes by itself --- */

static int host_of(struct unicorn_vcpu *v, uint64_t gva, unsigned access, uint8_t **p,
                   struct x86_fault *fault)
{
	struct x86_mapping m;

	if (!is_canonical(gva)) {
		*fault = (struct x86_fault){ .vector = X86_VEC_GP, .has_error_code = true };
		return -EFAULT;
	}
	int rc =
		unicorn_x86_host()->translate_page(v->u.vcpu, gva_of(gva), access, true, &m, fault);

	if (rc)
		return rc;
	*p = unicorn_x86_host()->mem_ptr(v->u.vcpu->vm, m.gpa, HC_PAGE_SIZE,
	                                 access == HC_ACCESS_WRITE);
	if (!*p || x86_apic_has_page(&x86_vcpu_of(v->u.vcpu)->apic, m.gpa.v))
		return -ENOENT;
	*p += gva % HC_PAGE_SIZE;
	return 0;
}

/* Both pages are translated before anything is copied; len is at most a page. */
static int locate(struct unicorn_vcpu *v, uint64_t gva, unsigned len, unsigned access,
                  uint8_t *part[2], unsigned size[2], struct x86_fault *fault)
{
	size[0] = (unsigned)hc_min(len, HC_PAGE_SIZE - gva % HC_PAGE_SIZE);
	size[1] = len - size[0];
	int rc = host_of(v, gva, access, &part[0], fault);

	if (!rc && size[1])
		rc = host_of(v, gva + size[0], access, &part[1], fault);
	return rc;
}

int unicorn_read(struct unicorn_vcpu *v, uint64_t gva, void *buf, unsigned len,
                 struct x86_fault *fault)
{
	uint8_t *part[2];
	unsigned size[2];
	int rc = locate(v, gva, len, HC_ACCESS_READ, part, size, fault);

	if (rc)
		return rc;
	memcpy(buf, part[0], size[0]);
	if (size[1])
		memcpy((uint8_t *)buf + size[0], part[1], size[1]);
	return 0;
}

int unicorn_write(struct unicorn_vcpu *v, uint64_t gva, const void *buf, unsigned len,
                  struct x86_fault *fault)
{
	uint8_t *part[2];
	unsigned size[2];
	int rc = locate(v, gva, len, HC_ACCESS_WRITE, part, size, fault);
	const struct unicorn_region *r = rc ? NULL : unicorn_region_at(v, gva);

	if (rc)
		return rc;
	memcpy(part[0], buf, size[0]);
	if (size[1])
		memcpy(part[1], (const uint8_t *)buf + size[0], size[1]);
	if (size[1] || (r && r->perms & UC_PROT_EXEC))
		atomic_store(&v->u.code_was_written, true);
	return 0;
}
