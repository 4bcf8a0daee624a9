/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses that stage 2 does not allow: device memory, writes to ROM, and what is nowhere.
 *
 * Nearly all of them are plain loads and stores of one register, which the hardware describes; the
 * others are decoded and carried out here.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/aarch64/internal.h"
#include "core/bus_access.h"
#include "core/log.h"
#include "core/touch.h"
#include "emu/aarch64/access.h"

/* --- Accesses that the hardware described --- */

static inline uint64_t extend(const struct hc_exit_stage2 *a, uint64_t value)
{
	unsigned shift = 64 - a->width * 8u;

	if (__builtin_expect(!a->is_signed, 1))
		return value & hc_bus_mask(a->width);
	value = (uint64_t)((int64_t)(value << shift) >> shift);
	return a->is_64 ? value : (uint32_t)value;
}

/* False: nothing answers. */
static bool read_device(struct hc_vm *vm, uint64_t gpa, unsigned width, uint64_t *value)
{
	return !hc_bus_read(vm, HC_SPACE_MEMORY, gpa, width, value);
}

/* What is written to ROM is lost. */
static bool write_device(struct hc_vm *vm, uint64_t gpa, unsigned width, uint64_t value)
{
	return !hc_bus_write(vm, HC_SPACE_MEMORY, gpa, width, value) ||
	       hc_mem_ptr(vm, gpa_of(gpa), width, false);
}

/* Nearly all accesses. False: nothing was done. */
static inline bool do_hinted(struct hc_vcpu *vcpu, const struct hc_exit_stage2 *a)
{
	struct a64_state *s = a64_state_of(vcpu);
	struct hc_vm *vm = vcpu->vm;
	uint64_t value;

	if (a->access != HC_ACCESS_READ)
		return hc_bus_try_write(vm, HC_SPACE_MEMORY, a->gpa.v, a->width,
		                        a64_get_x(s, a->rt));
	if (!hc_bus_try_read(vm, HC_SPACE_MEMORY, a->gpa.v, a->width, &value))
		return false;
	a64_set_x(s, a->rt, extend(a, value));
	return true;
}

static __attribute__((noinline)) int do_described(struct hc_vcpu *vcpu, const struct hc_exit *exit)
{
	const struct hc_exit_stage2 *a = &exit->u.stage2;
	struct a64_state *s = a64_state_of(vcpu);
	bool write = a->access == HC_ACCESS_WRITE;
	uint64_t value = 0;

	if (write ? !write_device(vcpu->vm, a->gpa.v, a->width,
	                          a64_get_x(s, a->rt) & hc_bus_mask(a->width))
	          : !read_device(vcpu->vm, a->gpa.v, a->width, &value)) {
		a64_raise_external(vcpu, a->gva, false, write);
		return HC_ACT_RESUME;
	}
	if (!write)
		a64_set_x(s, a->rt, extend(a, value));
	a64_skip(vcpu, exit->pc + 4);
	return HC_ACT_RESUME;
}

/* --- Everything else --- */

/* What the instruction's accesses are made with, and what became of the last one. */
struct access {
	struct hc_vcpu *vcpu;
	gva_t gva;
	uint32_t fsc;
	bool write;
};

/* UAO makes LDTR and STTR ordinary (Arm ARM C6.2.204). */
static bool is_user(const struct a64_state *s, unsigned how)
{
	return a64_is_el0(s) || (how & A64_ACCESS_USER && !(s->pstate & A64_PSTATE_UAO));
}

/* What reads and writes, and could not even read, is reported as a read (Arm ARM D17.2.37, WnR). */
static int translate(struct access *c, gva_t gva, unsigned how, bool write, gpa_t *gpa)
{
	bool user = is_user(a64_state_of(c->vcpu), how);
	enum hc_access kind = write ? HC_ACCESS_WRITE : HC_ACCESS_READ;

	c->gva = gva;
	c->write = write;
	return a64_translate(c->vcpu, gva, kind, user, gpa, &c->fsc);
}

/* Where the access goes. What exited was not RAM: if one that is to be atomic finds RAM, code or
 * tables changed meanwhile, and the CPU executes the instruction once more, as only it can do so.
 */
static int locate(struct access *c, gva_t gva, unsigned how, bool write, gpa_t *gpa)
{
	bool alone = (how & (A64_ACCESS_ATOMIC | A64_ACCESS_EXCLUSIVE)) != 0;
	int rc = translate(c, gva, how, write, gpa);

	if (!rc && how & A64_ACCESS_ATOMIC)
		rc = translate(c, gva, how, true, gpa);
	if (!rc && alone && hc_mem_ptr(c->vcpu->vm, *gpa, 1, true))
		return -EAGAIN;
	return rc;
}

static int answered(struct access *c, bool write, bool something_did)
{
	c->fsc = A64_FSC_EXTERNAL;
	c->write = write;
	return something_did ? 0 : -EFAULT;
}

static int read(void *ctx, gva_t gva, unsigned size, unsigned how, uint64_t *value)
{
	struct access *c = ctx;
	struct hc_vm *vm = c->vcpu->vm;
	gpa_t gpa;
	int rc = locate(c, gva, how, false, &gpa);

	if (rc)
		return rc;
	*value = 0;
	return answered(c, false,
	                !hc_mem_read(vm, gpa, value, size) || read_device(vm, gpa.v, size, value));
}

static int write(void *ctx, gva_t gva, unsigned size, unsigned how, uint64_t value)
{
	struct access *c = ctx;
	struct hc_vm *vm = c->vcpu->vm;
	gpa_t gpa;
	int rc = locate(c, gva, how, true, &gpa);

	if (rc)
		return rc;
	return answered(c, true,
	                !hc_mem_write(vm, gpa, &value, size) ||
	                        write_device(vm, gpa.v, size, value));
}

/* DCZID_EL0.BS is at most 9, and 8 bytes are the least that the run takes. */
static unsigned zero_block(void)
{
	uint64_t bs = hc_bits(a64_host_id(A64_SYSREG(3, 3, 0, 0, 7)), 3, 0);

	return 4u << hc_max(1, hc_min(bs, 9));
}

static int run(struct access *c, const struct a64_ldst *insn)
{
	const struct a64_mem_ops ops = { read, write, zero_block() };
	uint32_t groups = a64_ldst_groups(insn);

	hc_vcpu_need(c->vcpu, groups);
	int rc = a64_ldst_run(insn, a64_state_of(c->vcpu), &ops, c);

	if (!rc)
		hc_vcpu_dirty(c->vcpu, groups);
	return rc;
}

/* What is no load or store that is known here, or of AArch32: the guest gets the abort that a bus
 * gives which does not take such an access. */
static int refuse(struct hc_vcpu *vcpu, const struct hc_exit *exit, uint32_t code)
{
	const struct hc_exit_stage2 *a = &exit->u.stage2;

	if (!atomic_exchange(&a64_vm_of(vcpu->vm)->refused_access, true))
		hc_log(HC_LOG_WARN,
		       "vm %s: vcpu %u: pc %#llx accesses %#llx by instruction %#x, which is not "
		       "emulated: an external abort, as for later ones",
		       vcpu->vm->name, vcpu->id, (unsigned long long)exit->pc,
		       (unsigned long long)a->gpa.v, code);
	a64_raise_external(vcpu, a->gva, false, a->access == HC_ACCESS_WRITE);
	return HC_ACT_RESUME;
}

static __attribute__((noinline)) int do_any(struct hc_vcpu *vcpu, const struct hc_exit *exit)
{
	struct access c = { .vcpu = vcpu, .gva = gva_of(exit->pc) };
	struct a64_ldst insn;
	uint32_t code = 0;

	if (a64_is_aarch32(a64_state_of(vcpu)))
		return refuse(vcpu, exit, 0);
	int rc = a64_fetch(vcpu, &code, &c.fsc);

	if (rc == -EFAULT)
		a64_raise_at(vcpu, A64_EC_IABT_LOWER, c.fsc, c.gva);
	if (rc)
		return HC_ACT_RESUME;
	if (a64_decode_ldst(code, &insn))
		return refuse(vcpu, exit, code);
	rc = run(&c, &insn);
	if (!rc)
		a64_skip(vcpu, exit->pc + 4);
	else if (rc == -EFAULT)
		a64_raise_at(vcpu, A64_EC_DABT_LOWER, c.fsc | (c.write ? A64_ISS_WNR : 0), c.gva);
	return HC_ACT_RESUME;
}

/* --- Dispatch --- */

/* Whether the instruction at PC writes, of those that can fault in a walk: what both reads and
 * writes counts as a read (Arm ARM D17.2.37, WnR). */
static bool is_store(struct hc_vcpu *vcpu)
{
	struct a64_ldst insn;
	uint32_t code, fsc;

	if (a64_fetch(vcpu, &code, &fsc) || a64_decode_ldst(code, &insn))
		return false;
	return insn.kind == A64_LDST_STORE || insn.kind == A64_LDST_STORE_EX ||
	       insn.kind == A64_LDST_ZERO;
}

static bool is_beyond(const struct hc_vcpu *vcpu, gpa_t gpa)
{
	return gpa.v >> a64_address_bits(vcpu->vm) != 0;
}

/*
 * Stage 1 of the guest leads to tables that are not there, or further than its ID registers say
 * that addresses go: the CPU, whose own go further, left that to stage 2. The guest gets what the
 * walk says. False: the walk finds nothing of the kind, as the tables have changed meanwhile.
 */
static bool raise_stage1(struct hc_vcpu *vcpu, const struct hc_exit *exit, bool fetch)
{
	const struct hc_exit_stage2 *a = &exit->u.stage2;
	bool write = a->access == HC_ACCESS_WRITE || (a->in_walk && !fetch && is_store(vcpu));
	enum hc_access access = fetch                   ? HC_ACCESS_EXEC
	                        : write && !a->is_cache ? HC_ACCESS_WRITE
	                                                : HC_ACCESS_READ;
	uint32_t fsc, kind, iss = a->is_cache ? A64_ISS_CM | A64_ISS_WNR : write ? A64_ISS_WNR : 0;
	gpa_t gpa;

	if (a64_translate(vcpu, a->gva, access, a64_is_el0(a64_state_of(vcpu)), &gpa, &fsc) !=
	    -EFAULT)
		return false;
	kind = fsc & ~3u;
	if (kind != A64_FSC_WALK && kind != A64_FSC_SIZE)
		return false;
	a64_raise_at(vcpu, fetch ? A64_EC_IABT_LOWER : A64_EC_DABT_LOWER, fsc | (fetch ? 0 : iss),
	             a->gva);
	return true;
}

/* Not a device's: what it comes to. */
static __attribute__((noinline)) bool is_settled(struct hc_vcpu *vcpu, const struct hc_exit *exit)
{
	const struct hc_exit_stage2 *a = &exit->u.stage2;
	bool write = a->access == HC_ACCESS_WRITE;
	/* A walk that a fetch was the reason of reads the tables, for the address of PC. */
	bool fetch = a->access == HC_ACCESS_EXEC || (a->in_walk && a->gva.v == exit->pc);
	struct hc_vm *vm = vcpu->vm;

	/* Touched for the first time, or mapped meanwhile; or write-protected for the dirty log,
	 * where a walk that sets flags in a table writes as well. */
	if (hc_mem_ptr(vm, a->gpa, 1, write || (a->in_walk && a->present))) {
		hc_mem_fault(vm, a->gpa);
		if (write || a->in_walk)
			(void)hc_dirty_fault(vm, a->gpa);
		return true;
	}
	if (a->in_walk || is_beyond(vcpu, a->gpa)) {
		if (raise_stage1(vcpu, exit, fetch) || a->in_walk)
			return true;
	}
	if (!fetch)
		return false;
	a64_raise_external(vcpu, a->gva, true, false);
	return true;
}

/* The page, and the memory slots with which it is a device's; never 0. */
static inline uint64_t device_page(const struct hc_vcpu *vcpu, uint64_t gpa)
{
	return HC_ALIGN_DOWN(gpa, HC_PAGE_SIZE) | (vcpu->vm->memory.count + 1);
}

/* An access that has one place. Hardware describes loads and stores only, no fetches, walks or
 * cache maintenance (Arm ARM D17.2.37, ISV). */
static inline bool is_whole(const struct hc_exit_stage2 *a)
{
	return a->described && a->gpa.v % HC_PAGE_SIZE + a->width <= HC_PAGE_SIZE;
}

static inline bool is_known_page(struct hc_vcpu *vcpu, const struct hc_exit_stage2 *a)
{
	return a64_vcpu_of(vcpu)->device_page == device_page(vcpu, a->gpa.v);
}

static inline bool is_known_device(struct hc_vcpu *vcpu, const struct hc_exit_stage2 *a)
{
	return !a->in_walk && a->access != HC_ACCESS_EXEC && is_known_page(vcpu, a);
}

static __attribute__((noinline)) int exit_slow(struct hc_vcpu *vcpu, const struct hc_exit *exit)
{
	const struct hc_exit_stage2 *a = &exit->u.stage2;

	if (!is_known_device(vcpu, a)) {
		if (is_settled(vcpu, exit))
			return HC_ACT_RESUME;
		if (!hc_mem_ptr(vcpu->vm, a->gpa, 1, false))
			a64_vcpu_of(vcpu)->device_page = device_page(vcpu, a->gpa.v);
	}
	if (a->is_cache) {
		a64_skip(vcpu, exit->pc + 4); /* devices are not cached */
		return HC_ACT_RESUME;
	}
	return is_whole(a) ? do_described(vcpu, exit) : do_any(vcpu, exit);
}

int a64_exit_stage2(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	const struct hc_exit_stage2 *a = &exit->u.stage2;

	if (!is_whole(a) || !is_known_page(vcpu, a) || !do_hinted(vcpu, a))
		return exit_slow(vcpu, exit);
	a64_skip(vcpu, exit->pc + 4);
	return HC_ACT_RESUME;
}

/* --- Accesses that the backend decoded, and aborts if nothing answers --- */

int a64_exit_bus(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	const struct hc_exit_bus *b = &exit->u.bus;

	if (b->space != HC_SPACE_MEMORY || !hc_bus_mask(b->width < 9 ? b->width : 0))
		return hc_error(-EINVAL, "%s: %u bytes in space %u", vcpu->vm->name, b->width,
		                b->space);
	*b->is_missed = b->write ? !write_device(vcpu->vm, b->address, b->width, *b->value)
	                         : !read_device(vcpu->vm, b->address, b->width, b->value);
	return HC_ACT_RESUME;
}
