/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/kvm_a64.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/unit.h"

enum { FD_KVM = 5000, FD_VM, FD_VCPU };

#define RUN_SIZE 0x2000

/* Numbers of registers, as the kernel's interface has them for good. */
#define CORE_U64  UINT64_C(0x6030000000100000)
#define CORE_U128 UINT64_C(0x6040000000100000)
#define CORE_U32  UINT64_C(0x6020000000100000)
#define SYSREG    UINT64_C(0x6030000000130000)
#define REG_X0    CORE_U64
#define REG_PC    (CORE_U64 | 0x40)
#define ESR_EL1   (SYSREG | 0xc290)
#define FAR_EL1   (SYSREG | 0xc300)
#define VBAR_EL1  (SYSREG | 0xc600)

struct model_kvm model_kvm;

int __wrap_open(const char *path, int flags, ...);
int __wrap_close(int fd);
int __wrap_ioctl(int fd, unsigned long request, ...);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t size);
int __real_open(const char *path, int flags, ...);
int __real_close(int fd);
int __real_ioctl(int fd, unsigned long request, ...);
void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t size);

/* --- Registers --- */

/* Op0, Op1, CRn, CRm, Op2 as in MRS: those of an ARMv8.2 CPU that a guest without SVE, PMU and
 * pointer authentication has. The timer's compare value and count have swapped places. */
static const uint16_t sysregs[] = {
	0xc080, 0xc081, 0xc082, 0xc100, 0xc101, 0xc102, 0xc288, 0xc289, 0xc290,
	0xc300, 0xc3a0, 0xc510, 0xc518, 0xc600, 0xc681, 0xc684, 0xde82, 0xde83,
	0xc708, 0xd000, 0xd801, 0x8012, 0xdf02, 0xdf19, 0xdf1a,
};

static struct model_kvm_reg *find(struct model_kvm_vcpu *v, uint64_t id)
{
	for (unsigned i = 0; i < v->reg_count; i++)
		if (v->regs[i].id == id)
			return &v->regs[i];
	return NULL;
}

static void add(struct model_kvm_vcpu *v, uint64_t id)
{
	assert_true(v->reg_count < sizeof(v->regs) / sizeof(v->regs[0]));
	v->regs[v->reg_count++] = (struct model_kvm_reg){ .id = id };
}

static void add_registers(struct model_kvm_vcpu *v)
{
	v->reg_count = 0;
	/* X0 to X30, SP_EL0, PC, PSTATE, SP_EL1, ELR_EL1, five SPSRs: two words each. */
	for (unsigned i = 0; i <= 0x50; i += 2)
		add(v, CORE_U64 | i);
	for (unsigned i = 0; i < 32; i++)
		add(v, CORE_U128 | (0x54 + 4 * i));
	add(v, CORE_U32 | 0xd4);
	add(v, CORE_U32 | 0xd5);
	for (unsigned i = 0; i < sizeof(sysregs) / sizeof(sysregs[0]); i++)
		add(v, SYSREG | sysregs[i]);
	for (unsigned i = 0; i < 64; i++)
		add(v, SYSREG | 0xc000 | i); /* ID registers */
	for (unsigned n = 0; n < 6; n++)     /* six breakpoints, four watchpoints */
		for (unsigned op2 = 4; op2 < (n < 4 ? 8 : 6); op2++)
			add(v, SYSREG | 0x8000 | n << 3 | op2);
}

static uint8_t *bytes_of(unsigned vcpu, uint64_t id)
{
	struct model_kvm_reg *r = find(&model_kvm.vcpu[vcpu], id);

	if (!r) {
		fail_msg("there is no register %#llx", (unsigned long long)id);
		abort();
	}
	return r->bytes;
}

uint64_t model_kvm_get(unsigned vcpu, uint64_t id)
{
	uint64_t value;

	memcpy(&value, bytes_of(vcpu, id), sizeof(value));
	return value;
}

void model_kvm_set(unsigned vcpu, uint64_t id, uint64_t value)
{
	memcpy(bytes_of(vcpu, id), &value, sizeof(value));
}

static bool is_id(uint64_t id)
{
	return (id & ~UINT64_C(63)) == (SYSREG | 0xc000) && id != (SYSREG | 0xc005);
}

static int one_reg(struct model_kvm_vcpu *v, struct kvm_one_reg *arg, bool write)
{
	struct model_kvm_reg *r = find(v, arg->id);
	size_t size = (size_t)1 << (arg->id >> 52 & 15);
	void *user = (void *)(uintptr_t)arg->addr;

	if (!v->is_initialised)
		return -ENOEXEC;
	if (!r)
		return -ENOENT;
	if (!write) {
		v->reads++;
		memcpy(user, r->bytes, size);
		return 0;
	}
	if (is_id(r->id) && !model_kvm.id_writable && memcmp(user, r->bytes, size) != 0)
		return -EINVAL;
	v->writes++;
	memcpy(r->bytes, user, size);
	return 0;
}

/* --- Running --- */

static unsigned index_of(const struct model_kvm_vcpu *v)
{
	return (unsigned)(v - model_kvm.vcpu);
}

static uint64_t get_x(struct model_kvm_vcpu *v, unsigned n)
{
	return model_kvm_get(index_of(v), REG_X0 | 2 * n);
}

static void move_on(struct model_kvm_vcpu *v)
{
	model_kvm_set(index_of(v), REG_PC, model_kvm_get(index_of(v), REG_PC) + 4);
}

/* From EL1h. The address is the physical one, with the guest's MMU off. */
static void take_abort(struct model_kvm_vcpu *v)
{
	const struct kvm_run *run = v->run;

	if (run->exit_reason == KVM_EXIT_MMIO)
		fail_msg("an access is aborted and finished");
	v->mmio_pending = v->abort_pending = false;
	model_kvm_set(index_of(v), ESR_EL1, 0x96000010);
	model_kvm_set(index_of(v), FAR_EL1, run->mmio.phys_addr);
	model_kvm_set(index_of(v), REG_PC, model_kvm_get(index_of(v), VBAR_EL1) + 0x200);
}

static void finish_mmio(struct model_kvm_vcpu *v)
{
	struct kvm_run *run = v->run;
	uint64_t value = 0;

	if (v->abort_pending)
		take_abort(v);
	if (!v->mmio_pending)
		return;
	v->mmio_pending = false;
	memcpy(&value, run->mmio.data, run->mmio.len);
	if (!run->mmio.is_write)
		model_kvm_set(index_of(v), REG_X0 | 2 * v->rt, value);
	move_on(v);
}

static void mmio(struct model_kvm_vcpu *v, uint64_t address, unsigned size, unsigned rt, bool write)
{
	struct kvm_run *run = v->run;
	uint64_t value = get_x(v, rt);

	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = address;
	run->mmio.len = size;
	run->mmio.is_write = write;
	memset(run->mmio.data, 0xee, sizeof(run->mmio.data));
	if (write)
		memcpy(run->mmio.data, &value, size);
	v->mmio_pending = true;
	v->rt = rt;
}

static bool is_forwarded(uint32_t number)
{
	for (unsigned i = 0; i < model_kvm.filter_count; i++)
		if (number - model_kvm.filters[i].base < model_kvm.filters[i].count)
			return true;
	return false;
}

static int call(struct model_kvm_vcpu *v, uint32_t number)
{
	struct kvm_run *run = v->run;

	model_kvm_set(index_of(v), REG_X0, number);
	move_on(v);
	if (is_forwarded(number)) {
		run->exit_reason = KVM_EXIT_HYPERCALL;
		run->hypercall.nr = number;
		return 0;
	}
	if (number != 0x84000008 && number != 0x84000009)
		return -EINTR; /* what KVM does is nobody's business */
	model_kvm_set(index_of(v), REG_X0, (uint64_t)-6);
	run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	run->system_event.type =
		number == 0x84000008 ? KVM_SYSTEM_EVENT_SHUTDOWN : KVM_SYSTEM_EVENT_RESET;
	return 0;
}

static int take_step(struct model_kvm_vcpu *v, const struct model_kvm_step *s)
{
	struct kvm_run *run = v->run;

	if (s->before)
		s->before();
	run->s.regs.device_irq_level = s->levels;
	switch (s->kind) {
	case MODEL_KVM_READ: mmio(v, s->address, s->size, s->rt, false); return 0;
	case MODEL_KVM_WRITE: mmio(v, s->address, s->size, s->rt, true); return 0;
	case MODEL_KVM_CALL: return call(v, (uint32_t)s->value);
	case MODEL_KVM_UNDESCRIBED:
		if (!model_kvm.nisv_enabled)
			return -ENOSYS;
		run->exit_reason = KVM_EXIT_ARM_NISV;
		run->arm_nisv.fault_ipa = s->address;
		run->arm_nisv.esr_iss = 1u << 6;
		return 0;
	case MODEL_KVM_EXIT: run->exit_reason = (uint32_t)s->value; return 0;
	case MODEL_KVM_ERROR: return -(int)s->value;
	case MODEL_KVM_SIGNAL:
	default: return -EINTR;
	}
}

/* The backend's own test guest stores at X6 what it computed. */
static bool is_test_guest(void)
{
	const uint32_t *code = (const uint32_t *)(uintptr_t)model_kvm.slots[0].userspace_addr;

	return model_kvm.slot_count == 1 && code && *code == 0xd2824680;
}

static int run_vcpu(struct model_kvm_vcpu *v)
{
	struct kvm_run *run = v->run;

	if (!v->is_initialised)
		return -ENOEXEC;
	v->entries++;
	finish_mmio(v);
	if (run->immediate_exit) {
		run->exit_reason = KVM_EXIT_INTR;
		return -EINTR;
	}
	if (is_test_guest()) {
		model_kvm_set(index_of(v), REG_X0 | 8, 0x1254);
		mmio(v, get_x(v, 6), 8, 4, true);
		return 0;
	}
	return v->at < v->count ? take_step(v, &v->steps[v->at++]) : call(v, 0x84000008);
}

/* --- Requests --- */

static int extension(unsigned long number)
{
	switch (number) {
	case KVM_CAP_ARM_VM_IPA_SIZE: return (int)model_kvm.ipa_bits;
	case KVM_CAP_MAX_VCPUS: return 512;
	case KVM_CAP_USER_MEMORY:
	case KVM_CAP_READONLY_MEM:
	case KVM_CAP_ONE_REG:
	case KVM_CAP_ARM_PSCI_0_2:
	case KVM_CAP_VCPU_EVENTS:
	case KVM_CAP_ARM_INJECT_EXT_DABT:
	case KVM_CAP_IMMEDIATE_EXIT: return 1;
	case KVM_CAP_ARM_USER_IRQ: return 3;
	default: return 0;
	}
}

/* 0 is 40 bits, which a CPU may not have. */
static int create_vm(unsigned long type)
{
	unsigned bits = type & 0xff ? (unsigned)(type & 0xff) : 40;

	if (bits < 32 || (model_kvm.ipa_bits && bits > model_kvm.ipa_bits))
		return -EINVAL;
	model_kvm.vm_type = type;
	model_kvm.slot_count = model_kvm.filter_count = 0;
	memset(model_kvm.slots, 0, sizeof(model_kvm.slots));
	memset(model_kvm.vcpu, 0, sizeof(model_kvm.vcpu));
	model_kvm.open_files++;
	return FD_VM;
}

static int kvm_request(unsigned long request, unsigned long value)
{
	switch (request) {
	case KVM_GET_API_VERSION: return KVM_API_VERSION;
	case KVM_CHECK_EXTENSION: return extension(value);
	case KVM_CREATE_VM: return create_vm(value);
	case KVM_GET_VCPU_MMAP_SIZE: return RUN_SIZE;
	default: return -ENOTTY;
	}
}

static int add_filter(const struct kvm_device_attr *attr)
{
	const struct {
		uint32_t base, count;
		uint8_t action, pad[15];
	} *f = (const void *)(uintptr_t)attr->addr;

	if (!model_kvm.has_filter || attr->group || attr->attr)
		return -ENXIO;
	for (unsigned i = 0; i < sizeof(f->pad); i++)
		if (f->pad[i])
			return -EINVAL;
	if (f->action != 2 || !f->count)
		return -EINVAL;
	model_kvm.filters[model_kvm.filter_count].base = f->base;
	model_kvm.filters[model_kvm.filter_count++].count = f->count;
	return 0;
}

static int create_vcpu(unsigned long id)
{
	if (id >= MODEL_KVM_VCPUS || model_kvm.vcpu[id].is_made)
		return -EEXIST;
	model_kvm.vcpu[id].is_made = true;
	model_kvm.open_files++;
	return FD_VCPU + (int)id;
}

static int set_slot(const struct kvm_userspace_memory_region *r)
{
	struct kvm_userspace_memory_region *slot = &model_kvm.slots[r->slot];

	if (r->slot >= MODEL_KVM_SLOTS || r->userspace_addr % 4096)
		return -EINVAL;
	if (slot->memory_size) { /* of a slot that there is only the flags may change */
		if (slot->guest_phys_addr != r->guest_phys_addr ||
		    slot->memory_size != r->memory_size ||
		    slot->userspace_addr != r->userspace_addr)
			return -EINVAL;
	} else {
		model_kvm.slot_count++;
	}
	if (r->flags & ~slot->flags & KVM_MEM_LOG_DIRTY_PAGES)
		memset(model_kvm.dirty[r->slot], 0, sizeof(model_kvm.dirty[0]));
	*slot = *r;
	return 0;
}

static int get_log(const struct kvm_dirty_log *log)
{
	const struct kvm_userspace_memory_region *slot = &model_kvm.slots[log->slot];

	if (log->slot >= MODEL_KVM_SLOTS || !(slot->flags & KVM_MEM_LOG_DIRTY_PAGES))
		return -ENOENT;
	memcpy(log->dirty_bitmap, model_kvm.dirty[log->slot],
	       (slot->memory_size / 4096 + 63) / 64 * 8);
	memset(model_kvm.dirty[log->slot], 0, sizeof(model_kvm.dirty[0]));
	return 0;
}

void model_kvm_store(uint64_t address)
{
	for (unsigned i = 0; i < MODEL_KVM_SLOTS; i++) {
		const struct kvm_userspace_memory_region *slot = &model_kvm.slots[i];
		uint64_t offset = address - slot->guest_phys_addr, page = offset / 4096;

		if (offset >= slot->memory_size)
			continue;
		++*(uint8_t *)(uintptr_t)(slot->userspace_addr + offset);
		if (slot->flags & KVM_MEM_LOG_DIRTY_PAGES)
			model_kvm.dirty[i][page / 64] |= UINT64_C(1) << page % 64;
	}
}

/* Bits 27:24 say what kind of input (0: the CPU's own), 23:16 the vCPU. */
static int irq_line(const struct kvm_irq_level *line)
{
	unsigned vcpu = line->irq >> 16 & 0xff;

	if (line->irq >> 24 || vcpu >= MODEL_KVM_VCPUS || (line->irq & 0xffff) > 1)
		return -EINVAL;
	*(line->irq & 1 ? &model_kvm.vcpu[vcpu].fiq : &model_kvm.vcpu[vcpu].irq) = line->level;
	return 0;
}

static int vm_request(unsigned long request, void *arg)
{
	const struct kvm_enable_cap *cap = arg;

	switch (request) {
	case KVM_CREATE_VCPU: return create_vcpu((unsigned long)arg);
	case KVM_SET_USER_MEMORY_REGION: return set_slot(arg);
	case KVM_GET_DIRTY_LOG: return get_log(arg);
	case KVM_IRQ_LINE: return irq_line(arg);
	case KVM_HAS_DEVICE_ATTR: return model_kvm.has_filter ? 0 : -ENXIO;
	case KVM_SET_DEVICE_ATTR: return add_filter(arg);
	case KVM_ARM_PREFERRED_TARGET:
		memset(arg, 0, sizeof(struct kvm_vcpu_init));
		((struct kvm_vcpu_init *)arg)->target = KVM_ARM_TARGET_GENERIC_V8;
		return 0;
	case KVM_ENABLE_CAP:
		model_kvm.nisv_enabled = model_kvm.has_nisv && cap->cap == KVM_CAP_ARM_NISV_TO_USER;
		return model_kvm.nisv_enabled ? 0 : -EINVAL;
	case UINT64_C(0x4010aeb5): /* KVM_ARM_SET_COUNTER_OFFSET */
		if (!model_kvm.has_offset)
			return -ENOTTY;
		memcpy(&model_kvm.counter_offset, arg, sizeof(model_kvm.counter_offset));
		return 0;
	default: return -ENOTTY;
	}
}

static int init_vcpu(struct model_kvm_vcpu *v, const struct kvm_vcpu_init *init)
{
	static const struct {
		unsigned id;
		uint64_t value;
	} ids[] = { { 0xc000, 0x413fd0c1 }, { 0xc020, 0x1100000010111112 }, { 0xc021, 0x20 },
		    { 0xc028, 0x10305408 }, { 0xc030, 0x100010211120 },     { 0xc038, 0x101125 } };

	if (init->target != KVM_ARM_TARGET_GENERIC_V8)
		return -EINVAL;
	v->is_initialised = true;
	v->features = init->features[0];
	add_registers(v);
	for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		model_kvm_set(index_of(v), SYSREG | ids[i].id, ids[i].value);
	model_kvm_set(index_of(v), SYSREG | 0xd801, 0x8444c004);
	return 0;
}

/* A syndrome is taken with FEAT_RAS alone. An external abort is taken at the next KVM_RUN, and is
 * not among the events that are told. */
static int set_events(struct model_kvm_vcpu *v, const struct kvm_vcpu_events *e)
{
	if (e->exception.serror_has_esr && !model_kvm.has_ras)
		return -EINVAL;
	if (e->exception.ext_dabt_pending && !v->mmio_pending)
		fail_msg("an external abort where there was no access");
	v->abort_pending |= e->exception.ext_dabt_pending;
	v->events = *e;
	v->events.exception.ext_dabt_pending = 0;
	return 0;
}

static int vcpu_request(struct model_kvm_vcpu *v, unsigned long request, void *arg)
{
	switch (request) {
	case KVM_ARM_VCPU_INIT: return init_vcpu(v, arg);
	case KVM_GET_ONE_REG: return one_reg(v, arg, false);
	case KVM_SET_ONE_REG: return one_reg(v, arg, true);
	case KVM_RUN: return run_vcpu(v);
	case KVM_GET_VCPU_EVENTS: memcpy(arg, &v->events, sizeof(v->events)); return 0;
	case KVM_SET_VCPU_EVENTS: return set_events(v, arg);
	default: return -ENOTTY;
	}
}

/* --- System calls --- */

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;

	va_start(args, request);
	void *arg = va_arg(args, void *);

	va_end(args);
	int rc = fd == FD_KVM  ? kvm_request(request, (unsigned long)arg)
	         : fd == FD_VM ? vm_request(request, arg)
	         : fd >= FD_VCPU && fd < FD_VCPU + MODEL_KVM_VCPUS
	                 ? vcpu_request(&model_kvm.vcpu[fd - FD_VCPU], request, arg)
	                 : __real_ioctl(fd, request, arg);

	if (rc >= 0)
		return rc;
	errno = -rc;
	return -1;
}

int __wrap_open(const char *path, int flags, ...)
{
	if (strcmp(path, "/dev/kvm") == 0)
		return FD_KVM;
	return __real_open(path, flags, 0600);
}

int __wrap_close(int fd)
{
	if (fd < FD_KVM)
		return __real_close(fd);
	model_kvm.open_files--;
	return 0;
}

void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	if (fd < FD_VCPU)
		return __real_mmap(at, size, prot, flags, fd, offset);
	void *p = calloc(1, RUN_SIZE);

	assert_non_null(p);
	assert_int_equal(size, RUN_SIZE);
	model_kvm.vcpu[fd - FD_VCPU].run = p;
	model_kvm.mappings++;
	return p;
}

int __wrap_munmap(void *at, size_t size)
{
	if (size != RUN_SIZE)
		return __real_munmap(at, size);
	free(at);
	model_kvm.mappings--;
	return 0;
}

/* --- For tests --- */

void model_kvm_reset(void)
{
	memset(&model_kvm, 0, sizeof(model_kvm));
	model_kvm.has_filter = model_kvm.has_offset = model_kvm.has_nisv = true;
	model_kvm.ipa_bits = 48;
}

void model_kvm_script(unsigned vcpu, const struct model_kvm_step *steps, unsigned count)
{
	model_kvm.vcpu[vcpu].steps = steps;
	model_kvm.vcpu[vcpu].count = count;
	model_kvm.vcpu[vcpu].at = 0;
}
