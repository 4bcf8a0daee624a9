/* SPDX-License-Identifier: BSD-2-Clause */
/* The KVM backend's files, memory and entry, which are the same for all architectures. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
/* after the above */
#include "core/log.h"
#include "core/sched.h"
#include "platform/linux/kvm.h"
#include "platform/linux/kvm_internal.h"
#include "platform/linux/linux.h"

int kvm_fd = -1;

/* --- ioctl --- */

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	int rc;

	do
		rc = ioctl(fd, request, arg);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : rc;
}

int kvm_ioctl_value(int fd, unsigned long request, unsigned long value)
{
	int rc;

	do
		rc = ioctl(fd, request, value);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : rc;
}

/* --- /dev/kvm --- */

static int explain_open(int err, const char **why)
{
	switch (err) {
	case EACCES:
	case EPERM:
		*why = "/dev/kvm may not be opened by this user (is it in the group kvm?)";
		return -EPERM;
	case ENOENT:
	case ENODEV:
	case ENXIO: *why = "there is no /dev/kvm (no CPU support, or no module)"; return -ENODEV;
	default: *why = "/dev/kvm cannot be opened"; return -ENODEV;
	}
}

int kvm_open(const char **why)
{
	if (kvm_fd >= 0)
		return 0;
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return explain_open(errno, why);
	if (kvm_ioctl_value(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		*why = "/dev/kvm does not speak version 12 of its interface";
		close(fd);
		return -EOPNOTSUPP;
	}
	kvm_fd = fd;
	return 0;
}

int kvm_check_extensions(const struct kvm_extension *list, unsigned count, char *buf, size_t size)
{
	size_t len = 0;

	for (unsigned i = 0; i < count; i++) {
		int has =
			kvm_ioctl_value(kvm_fd, KVM_CHECK_EXTENSION, (unsigned long)list[i].number);

		if (has > 0 && (has & list[i].bits) == list[i].bits)
			continue;
		int n = hc_snprintf(buf + len, size - len, "%s%s",
		                    len ? ", " : "KVM is too old: it lacks ", list[i].name);

		len = hc_min(len + (size_t)n, size - 1);
	}
	return len ? -EOPNOTSUPP : 0;
}

/* --- VMs and vCPUs --- */

int kvm_vm_create(struct hc_vm *vm, unsigned long type)
{
	struct kvm_vm *k = hc_platform_alloc(sizeof(*k));

	if (!k)
		return hc_error(-ENOMEM, "kvm: no memory for VM %s", vm->name);
	k->fd = kvm_ioctl_value(kvm_fd, KVM_CREATE_VM, type);
	if (k->fd < 0) {
		int rc = k->fd;

		hc_platform_free(k, sizeof(*k));
		return hc_error(rc, "kvm: KVM_CREATE_VM for VM %s: %s", vm->name, strerror(-rc));
	}
	hc_vm_set_part(vm, &kvm_backend, k);
	return 0;
}

void kvm_vm_destroy(struct hc_vm *vm)
{
	struct kvm_vm *k = kvm_vm_of(vm);

	if (!k)
		return;
	close(k->fd);
	kvm_log_free(k);
	hc_platform_free(k, sizeof(*k));
	hc_vm_set_part(vm, &kvm_backend, NULL);
}

static int map_run(int vcpu_fd, struct kvm_run **run, size_t *run_size)
{
	int size = kvm_ioctl_value(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (size < (int)sizeof(**run))
		return -EPROTO;
	void *p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*run = p;
	*run_size = (size_t)size;
	return 0;
}

static int open_vcpu(struct kvm_vcpu *kv, struct hc_vcpu *vcpu)
{
	kv->fd = kvm_ioctl_value(kvm_vm_of(vcpu->vm)->fd, KVM_CREATE_VCPU, vcpu->id);
	if (kv->fd < 0)
		return kv->fd;
	int rc = map_run(kv->fd, &kv->run, &kv->run_size);

	if (rc)
		close(kv->fd);
	return rc;
}

int kvm_vcpu_create(struct hc_vcpu *vcpu, size_t size)
{
	struct kvm_vcpu *kv = hc_platform_alloc(size);

	if (!kv)
		return hc_error(-ENOMEM, "kvm: no memory for a vCPU of VM %s", vcpu->vm->name);
	int rc = open_vcpu(kv, vcpu);

	if (rc) {
		hc_platform_free(kv, size);
		return hc_error(rc, "kvm: vCPU %u of VM %s: %s", vcpu->id, vcpu->vm->name,
		                strerror(-rc));
	}
	kv->size = size;
	vcpu->backend_data = kv;
	return 0;
}

void kvm_vcpu_destroy(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	if (!kv)
		return;
	munmap(kv->run, kv->run_size);
	close(kv->fd);
	hc_platform_free(kv, kv->size);
	vcpu->backend_data = NULL;
}

/* --- Memory --- */

static bool is_known(const struct kvm_vm *k, unsigned count, uint64_t gpa)
{
	for (unsigned i = 0; i < count; i++)
		if (k->slot_gpa[i] == gpa)
			return true;
	return false;
}

int kvm_give_slot(struct kvm_vm *k, unsigned number, const struct hc_slot *slot)
{
	const uint32_t writable = k->logs ? KVM_MEM_LOG_DIRTY_PAGES : 0;
	struct kvm_userspace_memory_region region = {
		.slot = number,
		.flags = slot->flags & HC_SLOT_READONLY ? KVM_MEM_READONLY : writable,
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->size,
		.userspace_addr = (uintptr_t)slot->host,
	};

	k->slot_gpa[number] = slot->gpa;
	return kvm_ioctl(k->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

/* Slots are only ever added, so that one that is known by its address is the same. */
static int give_new_slots(struct hc_vm *vm, struct kvm_vm *k)
{
	unsigned count = atomic_load(&k->slots_seen);
	int rc = 0;

	for (unsigned i = 0; i < vm->memory.count && !rc; i++)
		if (!is_known(k, count, vm->memory.slots[i].gpa)) {
			rc = kvm_give_slot(k, count, &vm->memory.slots[i]);
			count += !rc;
		}
	atomic_store(&k->slots_seen, count);
	return rc;
}

bool kvm_sync_memory(struct hc_vcpu *vcpu)
{
	struct hc_vm *vm = vcpu->vm;
	struct kvm_vm *k = kvm_vm_of(vm);

	if (atomic_load_explicit(&k->slots_seen, memory_order_acquire) == vm->memory.count)
		return true;
	hc_lock(&vm->memory_lock);
	int rc = give_new_slots(vm, k);

	hc_unlock(&vm->memory_lock);
	if (rc)
		kvm_refuse(kvm_vcpu_of(vcpu), "KVM_SET_USER_MEMORY_REGION", rc);
	return !rc;
}

/* KVM has no call for it, but taking a slot away does it. Another vCPU may be running. */
void kvm_forget_tables(struct hc_vcpu *vcpu)
{
	static _Alignas(HC_PAGE_SIZE) uint8_t page[HC_PAGE_SIZE];
	struct hc_vm *vm = vcpu->vm;
	struct kvm_userspace_memory_region region = {
		.slot = HC_MAX_SLOTS,
		.guest_phys_addr = HC_BIT(vm->info.gpa_bits) - HC_PAGE_SIZE,
		.memory_size = HC_PAGE_SIZE,
		.userspace_addr = (uintptr_t)page,
	};

	hc_lock(&vm->memory_lock);
	int rc = kvm_ioctl(kvm_vm_of(vm)->fd, KVM_SET_USER_MEMORY_REGION, &region);

	region.memory_size = 0;
	if (!rc)
		rc = kvm_ioctl(kvm_vm_of(vm)->fd, KVM_SET_USER_MEMORY_REGION, &region);
	hc_unlock(&vm->memory_lock);
	if (rc)
		kvm_refuse(kvm_vcpu_of(vcpu), "KVM_SET_USER_MEMORY_REGION", rc);
}

/* --- Entry --- */

void kvm_refuse(struct kvm_vcpu *kv, const char *what, int err)
{
	kv->is_refused = true;
	hc_snprintf(kv->failure, sizeof(kv->failure), "%s: %s", what, strerror(-err));
}

void kvm_load(struct hc_vcpu *vcpu)
{
	linux_cpu_set_exit_flag(&kvm_vcpu_of(vcpu)->run->immediate_exit);
}

void kvm_put(struct hc_vcpu *vcpu)
{
	linux_cpu_set_exit_flag(NULL);
}

/* The flag is the kernel's and a signal handler's, too. */
static void set_immediate_exit(struct kvm_vcpu *kv, uint8_t value)
{
	__atomic_store_n(&kv->run->immediate_exit, value, __ATOMIC_SEQ_CST);
}

static int run_once(int vcpu_fd)
{
	return ioctl(vcpu_fd, KVM_RUN, 0) < 0 ? -errno : 0;
}

/* The flag is taken back only together with an exit that makes the core look at everything: a
 * signal that comes between KVM_RUN's return and the next one ends that at once. */
int kvm_enter(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	if (atomic_load_explicit(&vcpu->cpu->attention, memory_order_relaxed))
		set_immediate_exit(kv, 1);
	int rc = run_once(kv->fd);

	if (rc == -EINTR || rc == -EAGAIN) {
		set_immediate_exit(kv, 0);
		atomic_exchange(&vcpu->cpu->attention, false);
		return -EINTR;
	}
	return rc;
}

/* A signal's own 1 may be overwritten here; its attention is what kvm_enter() looks at. */
int kvm_finish(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	set_immediate_exit(kv, 1);
	int rc = run_once(kv->fd);

	set_immediate_exit(kv, 0);
	return rc;
}

/* --- Accesses to devices --- */

static uint8_t *io_data(struct kvm_vcpu *kv)
{
	const struct kvm_run *run = kv->run;

	return (uint8_t *)kv->run + run->io.data_offset + (size_t)kv->element * run->io.size;
}

static void io_exit(struct kvm_vcpu *kv, struct hc_exit_bus *bus)
{
	const struct kvm_run *run = kv->run;

	bus->address = run->io.port;
	bus->space = HC_SPACE_IO;
	bus->width = run->io.size;
	bus->write = run->io.direction == KVM_EXIT_IO_OUT;
	if (bus->write)
		memcpy(&kv->value, io_data(kv), bus->width);
}

static void mmio_exit(struct kvm_vcpu *kv, struct hc_exit_bus *bus)
{
	const struct kvm_run *run = kv->run;

	bus->address = run->mmio.phys_addr;
	bus->space = HC_SPACE_MEMORY;
	bus->width = (uint8_t)run->mmio.len;
	bus->write = run->mmio.is_write;
	if (bus->write)
		memcpy(&kv->value, run->mmio.data, sizeof(kv->value));
}

void kvm_bus_exit(struct kvm_vcpu *kv, struct hc_exit *exit)
{
	exit->reason = HC_EXIT_BUS;
	kv->value = 0;
	kv->pending = KVM_PENDING_BUS;
	kv->is_missed = false;
	exit->u.bus.value = &kv->value;
	exit->u.bus.is_missed = &kv->is_missed;
	if (kv->run->exit_reason == KVM_EXIT_IO)
		io_exit(kv, &exit->u.bus);
	else
		mmio_exit(kv, &exit->u.bus);
}

void kvm_bus_return(struct kvm_vcpu *kv)
{
	struct kvm_run *run = kv->run;

	if (run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write)
		memcpy(run->mmio.data, &kv->value, sizeof(kv->value));
	if (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_IN)
		memcpy(io_data(kv), &kv->value, run->io.size);
	kv->pending = KVM_PENDING_NONE;
}

bool kvm_bus_next(struct kvm_vcpu *kv)
{
	if (kv->run->exit_reason == KVM_EXIT_IO && kv->element + 1 < kv->run->io.count) {
		kv->element++;
		return true;
	}
	kv->element = 0;
	return false;
}

static bool is_bus_exit(const struct kvm_vcpu *kv)
{
	return kv->run->exit_reason == KVM_EXIT_IO || kv->run->exit_reason == KVM_EXIT_MMIO;
}

/* An error of the handler was logged where it arose; the instruction then reads zeros. */
void kvm_settle_bus(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);
	struct hc_exit exit;

	for (;;) {
		kvm_bus_return(kv);
		if (!kvm_bus_next(kv)) {
			int rc = kvm_finish(vcpu);

			if (rc && rc != -EINTR)
				kvm_refuse(kv, "KVM_RUN", rc);
			kv->stashed = !rc && !is_bus_exit(kv);
			if (rc || kv->stashed)
				return;
		}
		kvm_bus_exit(kv, &exit);
		(void)vcpu->handlers[HC_EXIT_BUS](vcpu, &exit);
	}
}

/* --- The guest of a probe --- */

#define TEST_TRIES 64 /* of entries that signals interrupt */

int kvm_test_make(struct kvm_test_guest *g, unsigned long type)
{
	*g = (struct kvm_test_guest){ .vcpu = -1 };
	g->vm = kvm_ioctl_value(kvm_fd, KVM_CREATE_VM, type);
	if (g->vm < 0)
		return g->vm;
	g->page = hc_platform_alloc_pages(0);
	return g->page ? 0 : -ENOMEM;
}

int kvm_test_add_vcpu(struct kvm_test_guest *g, gpa_t gpa)
{
	struct kvm_userspace_memory_region region = { .guest_phys_addr = gpa.v,
		                                      .memory_size = HC_PAGE_SIZE,
		                                      .userspace_addr = (uintptr_t)g->page };
	int rc = kvm_ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region);

	if (rc)
		return rc;
	g->vcpu = kvm_ioctl_value(g->vm, KVM_CREATE_VCPU, 0);
	return g->vcpu < 0 ? g->vcpu : map_run(g->vcpu, &g->run, &g->run_size);
}

int kvm_test_run(const struct kvm_test_guest *g)
{
	int rc = -EINTR;

	for (unsigned i = 0; i < TEST_TRIES && (rc == -EINTR || rc == -EAGAIN); i++)
		rc = run_once(g->vcpu);
	return rc;
}

void kvm_test_free(struct kvm_test_guest *g)
{
	if (g->run)
		munmap(g->run, g->run_size);
	if (g->vcpu >= 0)
		close(g->vcpu);
	if (g->vm >= 0)
		close(g->vm);
	if (g->page)
		hc_platform_free_pages(g->page, 0);
}

/* --- Of the table, what there is little to do for --- */

int kvm_cpu_enable(struct hc_cpu *cpu)
{
	return 0;
}

void kvm_cpu_disable(struct hc_cpu *cpu)
{
}

/* KVM follows the process's own tables. */
void kvm_invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
}

void kvm_explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size)
{
	hc_snprintf(buf, size, "%s", kvm_vcpu_of(vcpu)->failure);
}
