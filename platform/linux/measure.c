/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast is a backend? A VM of 2 MiB runs measure_guest.S, and its rounds are counted.
 *
 *   0x1000  GDT           0x5000  page directory     0x8000  code
 *   0x2000  IDT           0x6000  page table         0x9000  stack, growing down
 *   0x3000  PML4          0x7000  the other PML4     0xa000  the count
 *   0x4000  PDPT          0xb000  memory to work on  0xc000  not mapped
 */
#include "platform/linux/measure.h"

#include <hypercore/freestanding.h>
#include <time.h>

#include "arch/x86_64/x86.h"
#include "core/log.h"
#include "core/sched.h"
#include "platform/linux/backends.h"
#include "platform/linux/linux.h"

#define RAM_SIZE (2 * HC_MIB)
#define COUNT_AT 0xa000

/* Of the vCPU's processor time, so that others' work on this machine does not count; from the first
 * finished round on. */
#define MEASURE_NS UINT64_C(4000000)
/* A backend that has not finished one by then is not what anybody wants. */
#define PATIENCE_NS UINT64_C(40000000)
/* Of time as it passes, for a thread that does not come to run at all. */
#define LIMIT_NS UINT64_C(2000000000)
#define STEP_NS  200000

enum { GDT = 0x1000, IDT = 0x2000, PML4 = 0x3000, PDPT = 0x4000, PD = 0x5000, PT = 0x6000 };
enum { OTHER_PML4 = 0x7000, CODE = 0x8000, STACK = 0xa000, WORK = 0xb000, UNMAPPED = 0xc000 };

/* --- The guest --- */

static void write_tables(uint8_t *ram)
{
	const uint64_t link = 3; /* present, writable */
	uint64_t *pt = (uint64_t *)(void *)(ram + PT);

	*(uint64_t *)(void *)(ram + PML4) = PDPT | link;
	*(uint64_t *)(void *)(ram + OTHER_PML4) = PDPT | link;
	*(uint64_t *)(void *)(ram + PDPT) = PD | link;
	*(uint64_t *)(void *)(ram + PD) = PT | link;
	for (uint64_t i = 0; i < 512; i++)
		pt[i] = i * HC_PAGE_SIZE == UNMAPPED ? 0 : i * HC_PAGE_SIZE | link;
}

/* SDM Vol. 3A figure 6-8: an interrupt gate of 64-bit mode. */
static void write_gate(uint8_t *ram, unsigned vector, uint64_t handler)
{
	uint64_t *gate = (uint64_t *)(void *)(ram + IDT + 16 * vector);

	gate[0] = (handler & 0xffff) | UINT64_C(0x10) << 16 | UINT64_C(0x8e00) << 32 |
	          (handler >> 16 & 0xffff) << 48;
	gate[1] = handler >> 32;
}

static void write_guest(uint8_t *ram)
{
	static const uint64_t gdt[] = { 0, 0, UINT64_C(0x00af9b000000ffff),
		                        UINT64_C(0x00cf93000000ffff) };

	write_tables(ram);
	memcpy(ram + GDT, gdt, sizeof(gdt));
	memcpy(ram + CODE, linux_measure_guest, (size_t)(linux_measure_end - linux_measure_guest));
	write_gate(ram, X86_VEC_PF, CODE + (uint64_t)(linux_measure_fault - linux_measure_guest));
}

static void set_state(struct hc_vcpu *vcpu)
{
	struct x86_state *s = x86_state_of(vcpu);

	s->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
	s->cr3 = PML4;
	s->cr4 = X86_CR4_PAE;
	s->efer = X86_EFER_LME | X86_EFER_LMA;
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		s->seg[i] = (struct x86_segment){ 0x18, 0xc93, UINT32_MAX, 0 };
	s->seg[X86_CS] = (struct x86_segment){ 0x10, 0xa9b, UINT32_MAX, 0 };
	s->gdtr = (struct x86_dtable){ GDT, 31 };
	s->idtr = (struct x86_dtable){ IDT, 16 * 32 - 1 };
	s->rip = CODE;
	s->gpr[X86_RBP] = COUNT_AT;
	s->gpr[X86_RSI] = WORK;
	s->gpr[X86_RDI] = UNMAPPED;
	s->gpr[X86_RSP] = STACK;
	s->gpr[X86_R8] = OTHER_PML4;
	s->gpr[X86_R9] = PML4;
	hc_vcpu_dirty(vcpu, X86_G_ALL);
}

static int make_vm(struct hc_vm **out, const struct hc_backend_ops *backend)
{
	const struct hc_vm_config config = {
		.name = "measurement", .arch = &x86_arch_ops, .backend = backend, .cpus = 1
	};
	struct hc_vm *vm;
	int rc = hc_vm_create(&vm, &config);

	if (rc)
		return rc;
	rc = hc_vm_add_ram(vm, gpa_of(0), RAM_SIZE);
	if (rc) {
		hc_vm_destroy(vm);
		return rc;
	}
	write_guest(hc_mem_ptr(vm, gpa_of(0), RAM_SIZE, true));
	set_state(vm->vcpus[0]);
	*out = vm;
	return 0;
}

/* --- The measurement --- */

static uint64_t rounds(struct hc_vm *vm)
{
	const uint64_t *p = hc_mem_ptr(vm, gpa_of(COUNT_AT), sizeof(*p), false);

	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = STEP_NS }, NULL);
}

/* Whether there is a reason to go on watching. */
static bool unfinished(struct hc_vm *vm, uint64_t used_ns, uint64_t since_ns)
{
	return hc_vm_state(vm) == HC_VM_RUNNING && used_ns < PATIENCE_NS &&
	       hc_platform_now_ns() - since_ns < LIMIT_NS;
}

static uint64_t per_second(uint64_t count, uint64_t ns)
{
	return ns ? count * LINUX_MEASURE_ROUND * 1000000000 / ns : 0;
}

/* The first rounds find caches and translations cold, and are not counted. */
static uint64_t watch(struct hc_vm *vm)
{
	struct hc_cpu *cpu = vm->vcpus[0]->cpu;
	uint64_t start = linux_cpu_time_ns(cpu), since = hc_platform_now_ns(), used = 0;
	uint64_t first_used = 0, first_count = 0;

	while (unfinished(vm, used, since)) {
		nap();
		used = linux_cpu_time_ns(cpu) - start;
		uint64_t count = rounds(vm);

		if (!first_count) {
			first_used = used;
			first_count = count;
		} else if (used - first_used >= MEASURE_NS) {
			return per_second(count - first_count, used - first_used);
		}
	}
	/* Too slow for the above: what it did at all. */
	return per_second(rounds(vm), used);
}

static int run(struct hc_vm *vm, struct linux_speed *speed)
{
	int rc = hc_vm_start(vm);

	if (rc)
		return rc;
	speed->instructions = watch(vm);
	bool by_itself = hc_vm_stop(vm, HC_STOP_REQUEST, 0) != 0;

	while (hc_vm_state(vm) == HC_VM_RUNNING)
		nap();
	return by_itself ? hc_error(-EIO, "backend %s: the measuring guest ended: %s",
	                            vm->parts[0].ops->name, hc_vm_reason(vm))
	                 : 0;
}

int linux_measure(const struct hc_backend_ops *backend, struct linux_speed *speed)
{
	const struct hc_backend_ops *const backends[LINUX_VM_BACKENDS] = { backend };
	struct hc_vm *vm = NULL;

	linux_vm_lock();
	int rc = linux_cpus_start(backends, 1);

	if (!rc)
		rc = make_vm(&vm, backend);
	linux_vm_unlock();
	if (!rc)
		rc = run(vm, speed);
	linux_vm_lock();
	if (vm)
		hc_vm_destroy(vm);
	linux_cpus_stop_unused();
	linux_vm_unlock();
	return rc;
}
