/* SPDX-License-Identifier: BSD-2-Clause */
/* The AArch64 guest architecture as the core sees it, and a CPU's state after reset. */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/aarch64/gic/gic.h"
#include "arch/aarch64/internal.h"
#include "core/log.h"

/* The bits that are 1 while the CPU lacks what they would switch off, or that say that exceptions
 * synchronize, as guests of ARMv8.0 take for granted (Arm ARM D17.2.118): LSMAOE, nTLSMD, SPAN,
 * EIS, TSCXT, EOS, SED, ITD. */
#define SCTLR_RESET UINT64_C(0x30d00980)

#define MPIDR_RES1 HC_BIT(31)

/* What a CPU is by itself. A reset leaves it alone. */
static void set_identity(struct hc_vcpu *vcpu)
{
	struct a64_state *s = a64_state_of(vcpu);

	s->midr = a64_host_id(A64_SYSREG(3, 0, 0, 0, 0));
	s->mpidr = MPIDR_RES1 | a64_affinity(vcpu->id);
	s->cntvoff = a64_vm_of(vcpu->vm)->cntvoff;
}

void a64_vcpu_reset(struct hc_vcpu *vcpu)
{
	struct a64_vcpu *a = a64_vcpu_of(vcpu);
	struct a64_state *s = &a->state;

	memset(s, 0, sizeof(*s));
	set_identity(vcpu);
	s->pstate = A64_PSTATE_EL1H | A64_PSTATE_DAIF;
	s->sys[A64_SCTLR_EL1] = SCTLR_RESET;
	a->os_lock = true; /* D2.4.3: a reset locks */
	a->mdscr_locked = 0;
	a->halted = false;
	hc_vcpu_dirty(vcpu, A64_G_ALL);
	a64_timers_reset(vcpu);
	if (a->gic)
		gic_reset_cpu(vcpu);
}

static int vm_init(struct hc_vm *vm)
{
	if (vm->tsc_hz)
		return hc_error(-EOPNOTSUPP,
		                "vm %s: has a counter of the machine's rate, and no TSC", vm->name);
	a64_vm_of(vm)->cntvoff = hc_platform_cycles();
	return 0;
}

static void vm_fini(struct hc_vm *vm)
{
	/* Everything is inside struct a64_vm. */
}

static int vcpu_init(struct hc_vcpu *vcpu)
{
	struct a64_vcpu *a = a64_vcpu_of(vcpu);

	if (vcpu->id == 0)
		a64_id_init(vcpu->vm);
	vcpu->state = &a->state;
	a->last_sysreg = a64_sysregs;
	a64_timers_init(vcpu);
	a64_vcpu_reset(vcpu);
	atomic_store(&a->power, vcpu->id ? A64_POWER_OFF : A64_POWER_ON);
	return 0;
}

static void vcpu_fini(struct hc_vcpu *vcpu)
{
	a64_timers_fini(vcpu);
}

/* The guest has no ITS, and the distributor's message registers are not offered. */
static void deliver_msi(struct hc_vm *vm, uint64_t address, uint32_t data)
{
	/* To nobody. */
}

const struct hc_arch_ops a64_arch_ops = {
	.name = "aarch64",
	.isa = HC_ISA_AARCH64,
	.max_vcpus = A64_MAX_VCPUS,
	.vm_size = sizeof(struct a64_vm),
	.vcpu_size = sizeof(struct a64_vcpu),
	.vm_init = vm_init,
	.vm_fini = vm_fini,
	.vcpu_init = vcpu_init,
	.vcpu_fini = vcpu_fini,
	.handlers = a64_exit_handlers,
	.before_entry = a64_before_entry,
	.has_event = a64_has_event,
	.deliver_msi = deliver_msi,
};
