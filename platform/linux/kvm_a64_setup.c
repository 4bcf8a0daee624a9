/* SPDX-License-Identifier: BSD-2-Clause */
/* What KVM offers, found out by running a guest, and what it is told before it runs ours. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
/* after the above */
#include "arch/aarch64/gic/gic.h"
#include "core/log.h"
#include "platform/linux/kvm_a64.h"

#define GIC_PRIORITY_BITS 5 /* of a GICv2's virtual CPU interface (IHI 0048 5.3.4) */
#define ENOUGH_BITS       40

static const struct kvm_extension needed[] = {
	{ KVM_CAP_USER_MEMORY, 0, "USER_MEMORY" },
	{ KVM_CAP_READONLY_MEM, 0, "READONLY_MEM" },
	{ KVM_CAP_ONE_REG, 0, "ONE_REG" },
	{ KVM_CAP_ARM_PSCI_0_2, 0, "ARM_PSCI_0_2" },
	{ KVM_CAP_ARM_USER_IRQ, 0, "ARM_USER_IRQ" },
	{ KVM_CAP_VCPU_EVENTS, 0, "VCPU_EVENTS" },
	{ KVM_CAP_ARM_INJECT_EXT_DABT, 0, "ARM_INJECT_EXT_DABT" },
	{ KVM_CAP_IMMEDIATE_EXIT, 0, "IMMEDIATE_EXIT" },
};

/* --- VMs --- */

/* Without the extension there are 40 bits. More than that cost page tables. */
static unsigned gpa_bits(void)
{
	int most = kvm_ioctl_value(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

	return most > 0 && most < ENOUGH_BITS ? (unsigned)most : ENOUGH_BITS;
}

/* KVM_CREATE_VM's argument: 0 is all that an old KVM takes, and 40 bits. */
static unsigned long vm_type(void)
{
	unsigned bits = gpa_bits();

	return bits == ENOUGH_BITS ? 0 : KVM_VM_TYPE_ARM_IPA_SIZE(bits);
}

static int set_filter(int vm_fd, unsigned long request, const struct kvm_a64_smccc_filter *filter)
{
	struct kvm_device_attr attr = {
		.group = KVM_A64_SMCCC_CTRL,
		.attr = KVM_A64_SMCCC_FILTER,
		.addr = (uintptr_t)filter,
	};

	return kvm_ioctl(vm_fd, request, &attr);
}

/* PSCI's calls become exits, but for CPU_SUSPEND, which KVM makes a WFI of: only KVM knows what
 * ends that. False: KVM does all of PSCI itself. */
static bool take_psci(int vm_fd)
{
	static const struct kvm_a64_smccc_filter filters[] = {
		{ 0x84000000, 1, KVM_A64_SMCCC_FWD_TO_USER, { 0 } },
		{ 0x84000002, 0x1e, KVM_A64_SMCCC_FWD_TO_USER, { 0 } },
		{ 0xc4000002, 0x1e, KVM_A64_SMCCC_FWD_TO_USER, { 0 } },
	};

	if (set_filter(vm_fd, KVM_HAS_DEVICE_ATTR, NULL))
		return false;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(filters); i++)
		if (set_filter(vm_fd, KVM_SET_DEVICE_ATTR, &filters[i]))
			return false;
	return true;
}

/* From Linux 6.4 on; before, it is set through a vCPU's count. */
static int set_counter_offset(int vm_fd, uint64_t offset)
{
	struct kvm_a64_counter_offset arg = { .counter_offset = offset };

	return kvm_ioctl(vm_fd, KVM_A64_SET_COUNTER_OFFSET, &arg);
}

/* Exits for accesses that the CPU does not describe; without, they end the VM (-ENOSYS). */
static void want_undescribed(int vm_fd)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ARM_NISV_TO_USER };

	(void)kvm_ioctl(vm_fd, KVM_ENABLE_CAP, &cap);
}

int kvm_a64_vm_create(struct hc_vm *vm)
{
	int rc = kvm_vm_create(vm, vm_type());

	if (rc)
		return rc;
	struct kvm_vm *k = kvm_vm_of(vm);

	k->own_firmware = take_psci(k->fd);
	k->own_counter = !set_counter_offset(k->fd, a64_vm_of(vm)->cntvoff);
	want_undescribed(k->fd);
	return 0;
}

/* --- vCPUs --- */

static int init_vcpu(int vm_fd, int vcpu_fd, bool off)
{
	struct kvm_vcpu_init init = { 0 };
	int rc = kvm_ioctl(vm_fd, KVM_ARM_PREFERRED_TARGET, &init);

	if (rc)
		return rc;
	memset(init.features, 0, sizeof(init.features));
	init.features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2;
	if (off)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
	return kvm_ioctl(vcpu_fd, KVM_ARM_VCPU_INIT, &init);
}

/* All vCPUs' counts follow the one that is set. */
static int set_count(struct hc_vcpu *vcpu)
{
	uint64_t count = hc_platform_cycles() - a64_vm_of(vcpu->vm)->cntvoff;

	return kvm_a64_set_reg(kvm_vcpu_of(vcpu)->fd, KVM_REG_ARM_TIMER_CNT, &count);
}

/* Where PSCI is KVM's, so is the power: the core lets all of them run, and KVM keeps those that are
 * off asleep in KVM_RUN until somebody switches them on. */
int kvm_a64_vcpu_create(struct hc_vcpu *vcpu)
{
	struct kvm_vm *k = kvm_vm_of(vcpu->vm);
	int rc = kvm_vcpu_create(vcpu, sizeof(struct kvm_a64_vcpu));

	if (rc)
		return rc;
	rc = init_vcpu(k->fd, kvm_vcpu_of(vcpu)->fd, vcpu->id && !k->own_firmware);
	if (!rc && !vcpu->id && !k->own_counter)
		rc = set_count(vcpu);
	if (rc) {
		kvm_vcpu_destroy(vcpu);
		return hc_error(rc, "kvm: vCPU %u of VM %s cannot be set up: %s", vcpu->id,
		                vcpu->vm->name, strerror(-rc));
	}
	if (!k->own_firmware)
		atomic_store(&a64_vcpu_of(vcpu)->power, A64_POWER_ON);
	return 0;
}

/* --- What the guests' CPU is --- */

/* Op0 3, Op1 0, CRn 0, by CRm and Op2, as KVM shows them to guests; then CTR_EL0. */
static uint64_t id_registers[8 * 8], ctr;

static void read_ids(int vcpu_fd)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(id_registers); i++) {
		uint32_t number = A64_SYSREG(3, 0, 0, i / 8, i % 8);

		if (kvm_a64_get_reg(vcpu_fd, KVM_A64_SYSREG(number), &id_registers[i]))
			id_registers[i] = 0;
	}
	if (kvm_a64_get_reg(vcpu_fd, KVM_A64_SYSREG(A64_SYSREG(3, 3, 0, 0, 1)), &ctr))
		ctr = 0;
}

/* After probe. */
uint64_t a64_host_id(uint32_t number)
{
	if (number == A64_SYSREG(3, 3, 0, 0, 1))
		return ctr;
	if (number == A64_SYSREG(3, 3, 0, 0, 7))
		return kvm_a64_dczid();
	if (number < A64_SYSREG(3, 0, 0, 0, 0) || number >= A64_SYSREG(3, 0, 0, 8, 0))
		return 0;
	return id_registers[number - A64_SYSREG(3, 0, 0, 0, 0)];
}

/* --- The test guest --- */

#define CODE_AT   UINT64_C(0x40000000)
#define DEVICE_AT UINT64_C(0x09000000) /* nothing is there: the store ends the guest */
#define RESULT    0x1254

/* With the MMU off. */
static const uint32_t guest_code[] = {
	0xd2824680, /*    mov x0, #0x1234 */
	0xd28000e1, /*    mov x1, #7 */
	0xd2800002, /*    mov x2, #0 */
	0x8b010000, /* 1: add x0, x0, x1 */
	0x91000442, /*    add x2, x2, #1 */
	0xf1000421, /*    subs x1, x1, #1 */
	0x54ffffa1, /*    b.ne 1b */
	0xd5384245, /*    mrs x5, CurrentEL: 4 */
	0x8b050000, /*    add x0, x0, x5 */
	0xf9000060, /*    str x0, [x3] */
	0xf9400064, /*    ldr x4, [x3] */
	0xf90000c4, /*    str x4, [x6] */
};

static int set_start(const struct kvm_test_guest *g)
{
	const uint64_t pc = CODE_AT, scratch = CODE_AT + 0x800, device = DEVICE_AT;
	int rc = kvm_a64_set_reg(g->vcpu, KVM_A64_CORE(U64, regs.pc), &pc);

	if (!rc)
		rc = kvm_a64_set_reg(g->vcpu, KVM_A64_CORE(U64, regs.regs[3]), &scratch);
	if (!rc)
		rc = kvm_a64_set_reg(g->vcpu, KVM_A64_CORE(U64, regs.regs[6]), &device);
	return rc;
}

static int make_guest(struct kvm_test_guest *g)
{
	int rc = kvm_test_make(g, vm_type());

	if (rc)
		return rc;
	memcpy(g->page, guest_code, sizeof(guest_code));
	rc = kvm_test_add_vcpu(g, gpa_of(CODE_AT));
	if (!rc)
		rc = init_vcpu(g->vm, g->vcpu, false);
	return rc ? rc : set_start(g);
}

static int run_guest(const struct kvm_test_guest *g, const char **why)
{
	uint64_t value = 0;

	*why = "KVM does not run a test guest";
	if (kvm_test_run(g))
		return -EOPNOTSUPP;
	*why = "KVM left a test guest for an unexpected reason";
	if (g->run->exit_reason != KVM_EXIT_MMIO || !g->run->mmio.is_write ||
	    g->run->mmio.phys_addr != DEVICE_AT)
		return -EOPNOTSUPP;
	*why = "KVM ran a test guest, but with a wrong result";
	memcpy(&value, g->run->mmio.data, sizeof(value));
	return value == RESULT ? 0 : -EOPNOTSUPP;
}

static bool own_firmware;

static int test_guest(const char **why)
{
	struct kvm_test_guest g;

	*why = "KVM cannot make a test guest";
	int rc = make_guest(&g);

	if (!rc)
		read_ids(g.vcpu);
	own_firmware = !rc && !set_filter(g.vm, KVM_HAS_DEVICE_ATTR, NULL);
	if (!rc)
		rc = run_guest(&g, why);
	kvm_test_free(&g);
	return rc ? -EOPNOTSUPP : 0;
}

/* --- Probe --- */

static struct hc_backend_info found;
static int found_rc;

static int look(char *buf, size_t size)
{
	const char *why = "";
	int rc = kvm_open(&why);

	if (!rc)
		rc = kvm_check_extensions(needed, HC_ARRAY_SIZE(needed), buf, size);
	if (!rc)
		rc = test_guest(&why);
	if (*why && rc)
		hc_snprintf(buf, size, "%s", why);
	return rc;
}

static void probe_once(void)
{
	found_rc = look(found.reason, sizeof(found.reason));
	if (found_rc)
		return;
	int max = kvm_ioctl_value(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	found.max_vcpus = max > 0 && max < GIC_V2_MAX_VCPUS ? (unsigned)max : GIC_V2_MAX_VCPUS;
	found.gpa_bits = gpa_bits();
	found.gic_version = 2;
	found.gic_list_registers = A64_LIST_REGISTERS;
	found.gic_priority_bits = GIC_PRIORITY_BITS;
	hc_snprintf(found.reason, sizeof(found.reason),
	            "KVM, %u-bit guest addresses, ran a test guest; PSCI is %s", found.gpa_bits,
	            own_firmware ? "ours" : "KVM's");
}

int kvm_a64_probe(struct hc_backend_info *info)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, probe_once);
	*info = found;
	return found_rc;
}
