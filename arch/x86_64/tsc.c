/* SPDX-License-Identifier: BSD-2-Clause */
/* A TSC of another rate than the machine's (SDM Vol. 3C 26.6.5, APM Vol. 2 15.30.5). */
#include <hypercore/errno.h>

#include "arch/x86_64/internal.h"
#include "core/log.h"

static int check_rate(const struct hc_vm *vm)
{
	if (hc_is_tsc_hz(vm->tsc_hz))
		return 0;
	return hc_error(-EINVAL, "vm %s: a TSC of %llu Hz: wants " HC_TSC_HZ_WORDS, vm->name,
	                (unsigned long long)vm->tsc_hz);
}

static int ask(const struct hc_vm *vm, const struct hc_backend_ops *ops, uint64_t *ratio)
{
	if (!ops->tsc_ratio)
		return hc_error(-EOPNOTSUPP, "vm %s: a TSC of %llu Hz: backend %s cannot scale it",
		                vm->name, (unsigned long long)vm->tsc_hz, ops->name);
	return ops->tsc_ratio(vm->tsc_hz, ratio);
}

/* Software takes any factor; what others have computed with their own accuracy counts. */
static int agree(const struct hc_vm *vm, uint64_t *ratio, uint64_t second)
{
	if (*ratio == second || vm->parts[1].ops->s2_any)
		return 0;
	if (!vm->parts[0].ops->s2_any)
		return hc_error(-EOPNOTSUPP,
		                "vm %s: a TSC of %llu Hz: backends %s and %s would have it differ",
		                vm->name, (unsigned long long)vm->tsc_hz, vm->parts[0].ops->name,
		                vm->parts[1].ops->name);
	*ratio = second;
	return 0;
}

int x86_tsc_init(struct hc_vm *vm)
{
	uint64_t ratio = 0, second = 0;
	int rc = vm->tsc_hz ? check_rate(vm) : 0;

	if (rc || !vm->tsc_hz)
		return rc;
	rc = ask(vm, vm->parts[0].ops, &ratio);
	if (!rc && vm->parts[1].ops)
		rc = ask(vm, vm->parts[1].ops, &second);
	if (!rc && vm->parts[1].ops)
		rc = agree(vm, &ratio, second);
	x86_vm_of(vm)->tsc_ratio = ratio;
	return rc;
}

uint64_t x86_tsc_hz(struct hc_vcpu *vcpu)
{
	return x86_tsc_scale(hc_platform_cycles_hz(), x86_state_of(vcpu)->tsc_ratio);
}

uint64_t x86_tsc_now(struct hc_vcpu *vcpu)
{
	return x86_tsc_of(x86_state_of(vcpu), hc_platform_cycles());
}
