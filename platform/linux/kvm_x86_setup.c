/* SPDX-License-Identifier: BSD-2-Clause */
/* What KVM offers, found out by running a guest, and what it is told before it runs ours. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
/* after the above */
#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/host/cpuid.h"
#include "arch/x86_64/host/selftest.h"
#include "core/log.h"
#include "platform/linux/kvm_x86.h"

static const struct kvm_extension needed[] = {
	{ KVM_CAP_USER_MEMORY, 0, "USER_MEMORY" },
	{ KVM_CAP_READONLY_MEM, 0, "READONLY_MEM" },
	{ KVM_CAP_SET_TSS_ADDR, 0, "SET_TSS_ADDR" },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 0, "SET_IDENTITY_MAP_ADDR" },
	{ KVM_CAP_EXT_CPUID, 0, "EXT_CPUID" },
	{ KVM_CAP_USER_NMI, 0, "USER_NMI" },
	{ KVM_CAP_VCPU_EVENTS, 0, "VCPU_EVENTS" },
	{ KVM_CAP_DEBUGREGS, 0, "DEBUGREGS" },
	{ KVM_CAP_XSAVE, 0, "XSAVE" },
	{ KVM_CAP_IMMEDIATE_EXIT, 0, "IMMEDIATE_EXIT" },
	{ KVM_CAP_SYNC_REGS, KVM_SYNC_X86_REGS, "SYNC_REGS" },
	{ KVM_CAP_X86_USER_SPACE_MSR, 0, "X86_USER_SPACE_MSR" },
	{ KVM_CAP_X86_MSR_FILTER, 0, "X86_MSR_FILTER" },
};

/* --- CPUID --- */

#define MAX_CPUID 256

union cpuid_list {
	struct kvm_cpuid2 head;
	uint8_t room[sizeof(struct kvm_cpuid2) + MAX_CPUID * sizeof(struct kvm_cpuid_entry2)];
};

static union cpuid_list supported;

static int ask_cpuid(void)
{
	supported.head.nent = MAX_CPUID;
	return kvm_ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, &supported);
}

void kvm_x86_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	memset(out, 0, 4 * sizeof(out[0]));
	for (unsigned i = 0; i < supported.head.nent; i++) {
		const struct kvm_cpuid_entry2 *e = &supported.head.entries[i];

		if (e->function != leaf ||
		    (e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX && e->index != subleaf))
			continue;
		out[0] = e->eax;
		out[1] = e->ebx;
		out[2] = e->ecx;
		out[3] = e->edx;
		return;
	}
}

uint64_t kvm_x86_xcr0(void)
{
	uint32_t regs[4];

	kvm_x86_cpuid(0xd, 0, regs);
	return regs[0] ? (uint64_t)regs[3] << 32 | regs[0] : 3;
}

static unsigned gpa_bits(void)
{
	uint32_t regs[4];

	kvm_x86_cpuid(0x80000008, 0, regs);
	return (unsigned)hc_min(regs[0] & 0xff ? regs[0] & 0xff : 36, 52);
}

static unsigned fill_cpuid(struct hc_vcpu *vcpu, struct kvm_cpuid_entry2 *out)
{
	const struct x86_vm *x = x86_vm_of(vcpu->vm);
	unsigned n = 0;

	/* Element 0 is what leaves that are not there answer: KVM has its own rules for those. */
	for (unsigned i = 1; i < x->cpuid_count; i++, n++) {
		const struct x86_cpuid_entry *e = &x->cpuid[i];
		uint32_t regs[4];

		x86_cpuid(vcpu, e->leaf, e->subleaf, regs);
		out[n] = (struct kvm_cpuid_entry2){
			.function = e->leaf,
			.index = e->subleaf,
			.flags = e->any_subleaf ? 0 : KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			.eax = regs[0],
			.ebx = regs[1],
			.ecx = regs[2],
			.edx = regs[3],
		};
	}
	return n;
}

_Static_assert(X86_CPUID_ENTRIES <= MAX_CPUID, "the VM's table fits");

void kvm_x86_set_up(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);
	union cpuid_list list = { .head = { 0 } };

	if (kvm_x86_of(kv)->is_set_up)
		return;
	kvm_x86_of(kv)->is_set_up = true; /* the answers look at the vCPU's state */
	list.head.nent = fill_cpuid(vcpu, list.head.entries);
	int rc = kvm_ioctl(kv->fd, KVM_SET_CPUID2, &list);

	if (rc)
		kvm_refuse(kv, "KVM_SET_CPUID2", rc);
	kv->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
}

/* --- MSRs --- */

#define MAX_RUN 64

/* Those that guest and hardware share are KVM's; all others exit, also unknown ones. KVM never
 * asks the filter about 800h to 8FFh, but has none of these without a local APIC of its own, and
 * refusals exit, too. */
static int set_msr_filter(int vm_fd)
{
	static uint8_t all[MAX_RUN / 8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_DENY };
	unsigned n = 0;

	for (unsigned i = 0; i < x86_msr_policy_count && n < KVM_MSR_FILTER_MAX_RANGES; i++) {
		const struct x86_msr_policy *p = &x86_msr_policy[i];

		if (p->kind != X86_MSR_DIRECT || p->last - p->first >= MAX_RUN)
			continue;
		filter.ranges[n++] = (struct kvm_msr_filter_range){
			.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
			.nmsrs = p->last - p->first + 1,
			.base = p->first,
			.bitmap = all,
		};
	}
	return kvm_ioctl(vm_fd, KVM_X86_SET_MSR_FILTER, &filter);
}

static int set_msr_exits(int vm_fd)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args = { KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN |
		          KVM_MSR_EXIT_REASON_FILTER },
	};
	int rc = kvm_ioctl(vm_fd, KVM_ENABLE_CAP, &cap);

	return rc ? rc : set_msr_filter(vm_fd);
}

/* Four pages that Intel's CPUs without unrestricted guests need: between the local APICs' page and
 * where firmware would lie. */
#define IDENTITY_MAP UINT64_C(0xfeffc000)
#define TSS          0xfeffd000ul

int kvm_x86_prepare(int vm_fd)
{
	uint64_t identity = IDENTITY_MAP;
	int rc = kvm_ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);

	if (!rc)
		rc = kvm_ioctl_value(vm_fd, KVM_SET_TSS_ADDR, TSS);
	return rc ? rc : set_msr_exits(vm_fd);
}

/* --- The test guest --- */

static int start(const struct kvm_test_guest *g)
{
	struct kvm_regs regs = { .rip = X86_SELFTEST_RIP, .rflags = X86_FLAG_1 };
	struct kvm_sregs sregs;
	int rc = kvm_ioctl(g->vcpu, KVM_GET_SREGS, &sregs);

	sregs.cs.base = sregs.cs.selector = 0;
	if (!rc)
		rc = kvm_ioctl(g->vcpu, KVM_SET_SREGS, &sregs);
	return rc ? rc : kvm_ioctl(g->vcpu, KVM_SET_REGS, &regs);
}

static int make_guest(struct kvm_test_guest *g)
{
	int rc = kvm_test_make(g, 0);

	if (!rc)
		rc = kvm_x86_prepare(g->vm);
	if (rc)
		return rc;
	x86_selftest_write(g->page, false);
	rc = kvm_test_add_vcpu(g, gpa_of(0));
	return rc ? rc : start(g);
}

static int run_guest(const struct kvm_test_guest *g, const char **why)
{
	struct kvm_regs regs = { 0 };

	*why = "KVM does not run a test guest";
	if (kvm_test_run(g) || kvm_ioctl(g->vcpu, KVM_GET_REGS, &regs))
		return -EOPNOTSUPP;
	*why = "KVM left a test guest for an unexpected reason";
	if (g->run->exit_reason != KVM_EXIT_HLT)
		return -EOPNOTSUPP;
	*why = "KVM ran a test guest, but with a wrong result";
	return x86_selftest_passed(g->page, regs.rax, regs.rbx, regs.rdx) ? 0 : -EOPNOTSUPP;
}

static int test_guest(const char **why)
{
	struct kvm_test_guest g;

	*why = "KVM cannot make a test guest";
	int rc = make_guest(&g);

	if (!rc)
		rc = run_guest(&g, why);
	kvm_test_free(&g);
	return rc ? -EOPNOTSUPP : 0;
}

/* --- Probe --- */

/* Intel's leaf 1 ECX bit 5, AMD's leaf 80000001h ECX bit 2. */
static bool cpu_has_extensions(void)
{
	uint32_t basic[4], last[4], extended[4] = { 0 };

	x86_host_cpuid(1, 0, basic);
	x86_host_cpuid(0x80000000, 0, last);
	if (last[0] >= 0x80000001)
		x86_host_cpuid(0x80000001, 0, extended);
	return basic[2] >> 5 & 1 || extended[2] >> 2 & 1;
}

static bool has_nested_paging;

bool kvm_x86_has_nested_paging(void)
{
	return has_nested_paging;
}

static bool is_yes(const char *parameter)
{
	int fd = open(parameter, O_RDONLY | O_CLOEXEC);
	char c = 'N';

	if (fd < 0)
		return false;
	if (read(fd, &c, 1) != 1)
		c = 'N';
	close(fd);
	return c == 'Y' || c == '1';
}

static struct hc_backend_info found;
static int found_rc;

static int look(char *buf, size_t size)
{
	const char *why = "";
	int rc = kvm_open(&why);

	if (!rc)
		rc = kvm_check_extensions(needed, HC_ARRAY_SIZE(needed), buf, size);
	if (!rc && ask_cpuid() < 0) {
		why = "KVM does not say what its CPUID has";
		rc = -EOPNOTSUPP;
	}
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

	found.max_vcpus = max > 0 ? (unsigned)max : 4; /* what the interface promises */
	found.gpa_bits = gpa_bits();
	has_nested_paging = is_yes("/sys/module/kvm_intel/parameters/ept") ||
	                    is_yes("/sys/module/kvm_amd/parameters/npt");
	hc_snprintf(found.reason, sizeof(found.reason),
	            "KVM, %u-bit guest addresses, ran a test guest%s", found.gpa_bits,
	            cpu_has_extensions()
	                    ? ""
	                    : "; no VT-x or AMD-V here: it emulates guests' kernels, slowly");
}

int kvm_x86_probe(struct hc_backend_info *info)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, probe_once);
	*info = found;
	return found_rc;
}
