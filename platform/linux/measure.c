/* SPDX-License-Identifier: BSD-2-Clause */
/* How fast is a backend? A VM of 2 MiB runs the measuring guest, and its rounds are counted. */
#include "platform/linux/measure.h"

#include <hypercore/errno.h>
#include <time.h>

#include "core/log.h"
#include "core/sched.h"
#include "core/vm.h"
#include "platform/linux/backends.h"
#include "platform/linux/linux.h"

#define RAM_SIZE (2 * HC_MIB)

/* Of the vCPU's processor time, so that others' work on this machine does not count; from the first
 * finished round on. */
#define MEASURE_NS UINT64_C(4000000)
/* A backend that has not finished one by then is not what anybody wants. */
#define PATIENCE_NS UINT64_C(40000000)
/* Of time as it passes, for a thread that does not come to run at all. */
#define LIMIT_NS UINT64_C(2000000000)
#define STEP_NS  200000

/* --- The guest --- */

static int make_vm(struct hc_vm **out, const struct hc_backend_ops *backend)
{
	const struct hc_vm_config config = { .name = "measurement",
		                             .arch = linux_measure_program.arch,
		                             .backend = backend,
		                             .cpus = 1 };
	struct hc_vm *vm;
	int rc = hc_vm_create(&vm, &config);

	if (rc)
		return rc;
	rc = hc_vm_add_ram(vm, gpa_of(linux_measure_program.base), RAM_SIZE);
	if (rc) {
		hc_vm_destroy(vm);
		return rc;
	}
	linux_measure_program.write(
		hc_mem_ptr(vm, gpa_of(linux_measure_program.base), RAM_SIZE, true));
	linux_measure_program.set_state(vm->vcpus[0]);
	*out = vm;
	return 0;
}

/* --- The measurement --- */

static uint64_t rounds(struct hc_vm *vm)
{
	const uint64_t *p =
		hc_mem_ptr(vm, gpa_of(linux_measure_program.count_at), sizeof(*p), false);

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
	return ns ? count * linux_measure_program.round * 1000000000 / ns : 0;
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

	if (backend->isa != linux_measure_program.arch->isa)
		return -ENOSYS;
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
