/* SPDX-License-Identifier: BSD-2-Clause */
/* The KVM backend for arm64 on a model of KVM, with the real CPU core and interrupt controller. */
#include <errno.h>
#include <string.h>

#include "arch/aarch64/gic/gic.h"
#include "platform/linux/kvm_a64.h"
#include "platform/linux/linux.h"
#include "tests/model/kvm_a64.h"
#include "tests/platform.h"
#include "tests/unit.h"

#define RAM    UINT64_C(0x40000000)
#define DEVICE UINT64_C(0x0b000000)
#define GICD   UINT64_C(0x08000000)
#define GICC   UINT64_C(0x08010000)
#define ROM    UINT64_C(0x0c000000)
#define HOLE   UINT64_C(0x0d000000)
#define VBAR   (RAM + 0x800)

#define REG_X(n)   (UINT64_C(0x6030000000100000) + 2 * (n))
#define REG_PC     UINT64_C(0x6030000000100040)
#define REG_PSTATE UINT64_C(0x6030000000100042)
#define REG_SCTLR  UINT64_C(0x603000000013c080)
#define REG_ESR    UINT64_C(0x603000000013c290)
#define REG_FAR    UINT64_C(0x603000000013c300)
#define REG_ID_PFR UINT64_C(0x603000000013c020)

static struct hc_vm *vm;
static struct a64_state *st;
static uint8_t *exit_flag;

/* --- Around the backend --- */

void linux_cpu_set_exit_flag(uint8_t *flag)
{
	exit_flag = flag;
}

uint64_t kvm_a64_dczid(void)
{
	return 4;
}

/* A device that is eight bytes and a count. */
static struct {
	uint64_t value, offset;
	unsigned size, reads, writes;
	void (*on_access)(void);
} device;

static uint64_t device_read(void *dev, uint64_t offset, unsigned size)
{
	device.reads++;
	device.offset = offset;
	device.size = size;
	if (device.on_access)
		device.on_access();
	return device.value;
}

static void device_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	device.writes++;
	device.offset = offset;
	device.size = size;
	device.value = value;
	if (device.on_access)
		device.on_access();
}

static void add_devices(void)
{
	static const struct hc_region_ops ops = { device_read, device_write, 0 };
	const struct hc_region region = { "device", DEVICE, 64, &ops, NULL };
	const struct gic_config gic = { .version = 2,
		                        .spis = 64,
		                        .list_registers = A64_LIST_REGISTERS,
		                        .priority_bits = 5,
		                        .dist = GICD };

	memset(&device, 0, sizeof(device));
	assert_int_equal(hc_bus_add(vm, HC_SPACE_MEMORY, &region), 0);
	a64_set_gic_version(vm, 2);
	assert_int_equal(gic_create(vm, &gic), 0);
	assert_int_equal(gic_add_cpu_interface(vm, GICC), 0);
}

/* A guest at the beginning of its RAM, as after a reset. */
static void make(unsigned cpus)
{
	const struct hc_vm_config config = {
		"test", &a64_arch_ops, &kvm_backend, cpus, NULL, 0, 0
	};

	test_allocated = 0;
	assert_int_equal(hc_vm_create(&vm, &config), 0);
	assert_int_equal(hc_vm_add_ram(vm, gpa_of(RAM), 2 * HC_MIB), 0);
	add_devices();
	st = a64_state_of(vm->vcpus[0]);
	st->pc = RAM;
	hc_vcpu_dirty(vm->vcpus[0], A64_G_ALL);
}

static void loop(void)
{
	test_on_idle = test_stop_loop;
	test_run_loop();
}

/* Until the guest has ended, or all of it sleeps. */
static void run(void)
{
	assert_int_equal(hc_vm_start(vm), 0);
	loop();
}

static void run_script(const struct model_kvm_step *steps, unsigned count)
{
	model_kvm_script(0, steps, count);
	run();
	assert_int_equal(model_kvm.vcpu[0].at, count);
}

#define RUN(steps) run_script(steps, HC_ARRAY_SIZE(steps))

static void expect_poweroff(void)
{
	if (hc_vm_cause(vm) == HC_STOP_FAILURE)
		fail_msg("%s", hc_vm_reason(vm));
	assert_int_equal(hc_vm_cause(vm), HC_STOP_POWEROFF);
}

static void end(void)
{
	(void)hc_vm_stop(vm, HC_STOP_REQUEST, 0);
	loop();
	assert_int_equal(hc_vm_destroy(vm), 0);
	assert_int_equal(test_allocated, 0);
	assert_int_equal(model_kvm.open_files, 0);
	assert_int_equal(model_kvm.mappings, 0);
	vm = NULL;
}

static int set_up(void **state)
{
	test_platform_init(1);
	model_kvm_reset();
	return 0;
}

/* --- Probe --- */

static void test_probe(void **state)
{
	struct hc_backend_info info;

	assert_int_equal(kvm_backend.probe(&info), 0);
	assert_non_null(strstr(info.reason, "40-bit"));
	assert_non_null(strstr(info.reason, "PSCI is ours"));
	assert_int_equal(info.gic_version, 2);
	assert_int_equal(info.gicv.v, 0);
	assert_int_equal(info.max_vcpus, 8);
	assert_int_equal(model_kvm.mappings, 0);
	assert_int_equal(model_kvm.open_files, 0);
	/* The guests' CPU is the one that KVM shows. */
	assert_int_equal(a64_host_id(A64_SYSREG(3, 0, 0, 0, 0)), 0x413fd0c1);
	assert_int_equal(a64_host_id(A64_SYSREG(3, 0, 0, 6, 0)), 0x100010211120);
	assert_int_equal(a64_host_id(A64_SYSREG(3, 3, 0, 0, 1)), 0x8444c004);
	assert_int_equal(a64_host_id(A64_SYSREG(3, 3, 0, 0, 7)), 4);
	assert_int_equal(a64_host_id(A64_SYSREG(3, 0, 0, 8, 0)), 0);
}

/* --- What VMs are told --- */

static void test_settings(void **state)
{
	make(2);
	assert_int_equal(model_kvm.vm_type, 0);
	assert_int_equal(model_kvm.counter_offset, a64_vm_of(vm)->cntvoff);
	assert_true(model_kvm.nisv_enabled);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(model_kvm.vcpu[i].features, 1u << KVM_ARM_VCPU_PSCI_0_2);
	run();
	assert_int_equal(model_kvm.slot_count, 1);
	assert_int_equal(model_kvm.slots[0].guest_phys_addr, RAM);
	assert_int_equal(model_kvm.slots[0].memory_size, 2 * HC_MIB);
	assert_ptr_equal((void *)(uintptr_t)model_kvm.slots[0].userspace_addr,
	                 hc_mem_ptr(vm, gpa_of(RAM), HC_PAGE_SIZE, true));
	expect_poweroff();
	end();
}

/* CPUs with addresses of fewer bits than the usual. */
static void test_narrow_addresses(void **state)
{
	model_kvm.ipa_bits = 36;
	make(1);
	assert_int_equal(model_kvm.vm_type, 36);
	end();
}

/* Without the call for it the offset is set through the count. */
static void test_old_counter(void **state)
{
	model_kvm.has_offset = false;
	test_now_ns += 12345;
	make(1);
	assert_int_equal(model_kvm_get(0, 0x603000000013df1a),
	                 hc_platform_cycles() - a64_vm_of(vm)->cntvoff);
	end();
}

static void check_id_registers(bool writable)
{
	uint64_t pfr0 = 0x1100000010111112;

	model_kvm.id_writable = writable;
	make(1);
	run();
	expect_poweroff();
	assert_int_equal(model_kvm_get(0, REG_ID_PFR),
	                 writable ? a64_vm_of(vm)->id[A64_ID_AA64PFR0] : pfr0);
	assert_int_not_equal(a64_vm_of(vm)->id[A64_ID_AA64PFR0], pfr0);
	end();
}

static void test_id_registers(void **state)
{
	check_id_registers(true);
	check_id_registers(false);
}

/* --- The dirty log --- */

static uint64_t dirty_bits; /* of the first 64 pages */

static void look(void *arg, gpa_t gpa, const uint64_t *bitmap, uint64_t pages)
{
	dirty_bits = bitmap[0];
	assert_int_equal(gpa.v, RAM);
	assert_int_equal(pages, 2 * HC_MIB / HC_PAGE_SIZE);
}

static uint64_t collected(int64_t pages)
{
	assert_int_equal(hc_vm_dirty_collect(vm, look, NULL), pages);
	return dirty_bits;
}

static void stores(void)
{
	model_kvm_store(RAM + 0x3000);
	model_kvm_store(RAM + 0x3fff);
	model_kvm_store(RAM + 0x8000);
}

static void collects(void)
{
	const uint8_t byte = 1;

	assert_int_equal(hc_mem_write(vm, gpa_of(RAM + 0x5000), &byte, 1), 0);
	assert_int_equal(collected(3), 0x128);
	assert_int_equal(collected(0), 0);
	model_kvm_store(RAM + 0x8000);
}

static void stops_the_log(void)
{
	assert_int_equal(collected(1), 0x100);
	hc_vm_dirty_stop(vm);
	assert_int_equal(model_kvm.slots[0].flags, 0);
	model_kvm_store(RAM + 0x1000);
	assert_int_equal(hc_vm_dirty_start(vm), 0); /* of slots that KVM has */
	model_kvm_store(RAM + 0x2000);
}

static void test_dirty_log(void **state)
{
	static const struct model_kvm_step steps[] = {
		{ .kind = MODEL_KVM_SIGNAL, .before = stores },
		{ .kind = MODEL_KVM_SIGNAL, .before = collects },
		{ .kind = MODEL_KVM_SIGNAL, .before = stops_the_log },
	};

	make(1);
	assert_int_equal(hc_vm_dirty_start(vm), 0); /* of slots that KVM gets later */
	RUN(steps);
	assert_int_equal(collected(1), 4);
	end();
}

/* KVM can refuse to log, and to tell. */
static void test_dirty_log_fails(void **state)
{
	make(1);
	assert_int_equal(hc_vm_dirty_start(vm), 0);
	run();
	model_kvm.slots[0].flags = 0;
	assert_int_equal(hc_vm_dirty_collect(vm, NULL, NULL), -ENOENT);
	assert_non_null(strstr(test_log(), "KVM_GET_DIRTY_LOG"));
	hc_vm_dirty_stop(vm);
	model_kvm.slots[0].userspace_addr ^= 0x1000;
	assert_int_equal(hc_vm_dirty_start(vm), -EINVAL);
	assert_non_null(strstr(test_log(), "KVM_MEM_LOG_DIRTY_PAGES"));
	end();
}

/* --- State --- */

static uint64_t seed = 3;

static void fill(void *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)p)[i] = (uint8_t)test_random(&seed);
}

static void any_state(void)
{
	fill(st->x, sizeof(st->x));
	fill(&st->pc, sizeof(st->pc));
	fill(&st->pstate, sizeof(st->pstate));
	fill(st->sys, sizeof(st->sys));
	fill(&st->cntv_cval, sizeof(st->cntv_cval));
	st->cntv_ctl = 1;
	fill(&st->mdscr, sizeof(st->mdscr));
	fill(st->dbgbvr, 6 * 8);
	fill(st->dbgbcr, 6 * 8);
	fill(st->dbgwvr, 4 * 8);
	fill(st->dbgwcr, 4 * 8);
	fill(st->v, sizeof(st->v));
	fill(&st->fpsr, sizeof(st->fpsr));
	fill(&st->fpcr, sizeof(st->fpcr));
	st->serror = true;
	st->vsesr = 0x123;
}

/* All that was put in comes back, and is where the interface says that it is. */
static void test_state(void **state)
{
	const uint32_t groups = A64_G_ALL & ~KVM_A64_NEUTRAL;
	struct a64_state before;

	model_kvm.has_ras = true;
	make(1);
	struct hc_vcpu *vcpu = vm->vcpus[0];

	for (unsigned i = 0; i < 20; i++) {
		any_state();
		before = *st;
		kvm_backend.set_state(vcpu, groups);
		assert_int_equal(model_kvm_get(0, REG_X(30)), st->x[30]);
		assert_int_equal(model_kvm_get(0, REG_PC), st->pc);
		assert_int_equal(model_kvm_get(0, REG_PSTATE), st->pstate);
		assert_int_equal(model_kvm_get(0, 0x603000000010003e), st->sys[A64_SP_EL0]);
		assert_int_equal(model_kvm_get(0, 0x6030000000100044), st->sys[A64_SP_EL1]);
		assert_int_equal(model_kvm_get(0, 0x6030000000100046), st->sys[A64_ELR_EL1]);
		assert_int_equal(model_kvm_get(0, 0x6030000000100048), st->sys[A64_SPSR_EL1]);
		assert_int_equal(model_kvm_get(0, REG_SCTLR), st->sys[A64_SCTLR_EL1]);
		assert_int_equal(model_kvm_get(0, 0x6040000000100054 + 4 * 31), st->v[31][0]);
		assert_int_equal((uint32_t)model_kvm_get(0, 0x60200000001000d5), st->fpcr);
		assert_int_equal(model_kvm_get(0, 0x603000000013df02), st->cntv_cval);
		assert_int_equal(model_kvm.vcpu[0].events.exception.serror_esr, 0x123);
		vcpu->dirty = 0;
		any_state();
		st->cntv_ctl = 0;
		st->serror = false;
		st->vsesr = 0;
		kvm_backend.get_state(vcpu, groups);
		assert_memory_equal(st, &before, sizeof(before));
	}
	end();
}

/* Where the CPU has no FEAT_RAS the SError goes without its syndrome. */
static void test_serror(void **state)
{
	make(1);
	st->serror = true;
	st->vsesr = 0x55;
	run();
	expect_poweroff();
	assert_true(model_kvm.vcpu[0].events.exception.serror_pending);
	assert_false(model_kvm.vcpu[0].events.exception.serror_has_esr);
	end();
}

/* An exit that asks for a register costs what it takes, not all of them. */
static void test_few_writes(void **state)
{
	static const struct model_kvm_step steps[] = {
		{ .kind = MODEL_KVM_SIGNAL },
		{ .kind = MODEL_KVM_CALL, .value = 0x84000000 },
		{ .kind = MODEL_KVM_SIGNAL },
	};

	make(1);
	model_kvm_script(0, steps, 1);
	run();
	unsigned writes = model_kvm.vcpu[0].writes;

	end();
	make(1);
	RUN(steps);
	/* X0 of PSCI_VERSION; BTYPE is 0 as it was. */
	assert_int_equal(model_kvm.vcpu[0].writes, writes + 1);
	end();
}

/* --- Devices --- */

static void test_accesses(void **state)
{
	static const struct model_kvm_step steps[] = {
		{ .kind = MODEL_KVM_WRITE, .address = DEVICE + 8, .size = 4, .rt = 1 },
		{ .kind = MODEL_KVM_READ, .address = DEVICE + 2, .size = 2, .rt = 2 },
		{ .kind = MODEL_KVM_READ, .address = DEVICE, .size = 8, .rt = 3 },
	};

	make(1);
	st->x[1] = 0x1122334455667788;
	model_kvm_script(0, steps, 1);
	run();
	assert_int_equal(device.value, 0x55667788);
	assert_int_equal(device.offset, 8);
	assert_int_equal(device.size, 4);
	end();
	make(1);
	device.value = 0xfedcba9876543210;
	model_kvm_script(0, steps + 1, 2);
	run();
	expect_poweroff();
	assert_int_equal(model_kvm_get(0, REG_X(2)), 0x3210);
	assert_int_equal(model_kvm_get(0, REG_X(3)), 0xfedcba9876543210);
	assert_int_equal(device.reads, 2);
	end();
}

/* One exit without the core's loop, and its handler. */
static enum hc_exit_reason one_exit(void)
{
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct hc_exit exit;

	kvm_backend.run(vcpu, &exit);
	assert_int_equal(vcpu->handlers[exit.reason](vcpu, &exit), HC_ACT_RESUME);
	return exit.reason;
}

static const struct model_kvm_step one_read[] = {
	{ .kind = MODEL_KVM_READ, .address = DEVICE, .size = 4, .rt = 7 },
	{ .kind = MODEL_KVM_SIGNAL },
};

static void begin_read(void)
{
	make(1);
	kvm_backend.load(vm->vcpus[0]);
	device.value = 0xabcd;
	model_kvm_script(0, one_read, HC_ARRAY_SIZE(one_read));
	assert_int_equal(one_exit(), HC_EXIT_BUS);
	assert_int_equal(model_kvm_get(0, REG_PC), RAM);
}

static void end_read(void)
{
	kvm_backend.put(vm->vcpus[0]);
	assert_null(exit_flag);
	assert_int_equal(device.reads, 1);
	end();
}

/* Who looks at a vCPU in the middle of an access sees it finished, once. */
static void test_state_after_access(void **state)
{
	begin_read();
	hc_vcpu_need(vm->vcpus[0], A64_G_CORE);
	assert_int_equal(st->x[7], 0xabcd);
	assert_int_equal(st->pc, RAM + 4);
	assert_int_equal(model_kvm.vcpu[0].entries, 2);
	assert_int_equal(one_exit(), HC_EXIT_INTERRUPT);
	assert_int_equal(model_kvm_get(0, REG_X(7)), 0xabcd);
	assert_int_equal(model_kvm_get(0, REG_PC), RAM + 4);
	end_read();
}

/* New registers while an access is unfinished: its own result does not come over them. */
static void test_change_after_access(void **state)
{
	begin_read();
	memset(st->x, 0, sizeof(st->x));
	st->x[7] = 0x1111;
	st->pc = RAM + 0x100;
	hc_vcpu_dirty(vm->vcpus[0], A64_G_CORE);
	assert_int_equal(one_exit(), HC_EXIT_INTERRUPT);
	assert_int_equal(model_kvm_get(0, REG_X(7)), 0x1111);
	assert_int_equal(model_kvm_get(0, REG_PC), RAM + 0x100);
	end_read();
}

/* The exits that come most often cost no system call but KVM_RUN. */
static void test_cost_of_exits(void **state)
{
	static const struct model_kvm_step steps[] = {
		{ .kind = MODEL_KVM_READ, .address = DEVICE, .size = 4, .rt = 7 },
		{ .kind = MODEL_KVM_WRITE, .address = DEVICE, .size = 4, .rt = 7 },
		{ .kind = MODEL_KVM_SIGNAL },
	};
	const struct model_kvm_vcpu *v = &model_kvm.vcpu[0];

	begin_read(); /* the first entry sets the vCPU up */
	unsigned reads = v->reads, writes = v->writes;

	model_kvm_script(0, steps, HC_ARRAY_SIZE(steps));
	assert_int_equal(one_exit(), HC_EXIT_BUS);
	assert_int_equal(one_exit(), HC_EXIT_BUS);
	assert_int_equal(one_exit(), HC_EXIT_INTERRUPT);
	assert_int_equal(v->reads, reads);
	assert_int_equal(v->writes, writes);
	kvm_backend.put(vm->vcpus[0]);
	assert_int_equal(device.reads, 2);
	end();
}

/* Where nothing answers: the same abort as from any other backend, in place of the access. */

static const struct model_kvm_step misses[] = {
	{ .kind = MODEL_KVM_READ, .address = HOLE, .size = 4, .rt = 7 },
	{ .kind = MODEL_KVM_WRITE, .address = HOLE + 8, .size = 8, .rt = 7 },
	{ .kind = MODEL_KVM_SIGNAL },
};

static void begin_miss(unsigned which)
{
	make(1);
	kvm_backend.load(vm->vcpus[0]);
	st->x[7] = 0x7777;
	st->sys[A64_VBAR_EL1] = VBAR;
	model_kvm_script(0, misses + which, HC_ARRAY_SIZE(misses) - which);
	assert_int_equal(one_exit(), HC_EXIT_BUS);
}

static void end_miss(unsigned which)
{
	assert_int_equal(model_kvm_get(0, REG_PC), VBAR + 0x200);
	assert_int_equal(model_kvm_get(0, REG_X(7)), 0x7777);
	assert_int_equal(model_kvm_get(0, REG_ESR), 0x96000010);
	assert_int_equal(model_kvm_get(0, REG_FAR), misses[which].address);
	kvm_backend.put(vm->vcpus[0]);
	assert_int_equal(device.reads + device.writes, 0);
	end();
}

static void test_nothing_answers(void **state)
{
	for (unsigned which = 0; which < 2; which++) {
		begin_miss(which);
		(void)one_exit();
		end_miss(which);
	}
}

static void test_state_after_miss(void **state)
{
	for (unsigned which = 0; which < 2; which++) {
		begin_miss(which);
		hc_vcpu_need(vm->vcpus[0], A64_G_CORE | A64_G_SYS);
		assert_int_equal(st->pc, VBAR + 0x200);
		assert_int_equal(st->x[7], 0x7777);
		assert_int_equal(st->sys[A64_FAR_EL1], misses[which].address);
		assert_int_equal(model_kvm.vcpu[0].entries, 2);
		(void)one_exit();
		end_miss(which);
	}
}

/* A device that is there answers after one that is not; ROM takes writes and loses them. */
static void test_answers_after_miss(void **state)
{
	static const struct model_kvm_step steps[] = {
		{ .kind = MODEL_KVM_READ, .address = HOLE, .size = 4, .rt = 7 },
		{ .kind = MODEL_KVM_READ, .address = DEVICE, .size = 4, .rt = 7 },
		{ .kind = MODEL_KVM_WRITE, .address = ROM, .size = 4, .rt = 7 },
	};

	static uint8_t rom[HC_PAGE_SIZE] __attribute__((aligned(4096)));

	make(1);
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(ROM), sizeof(rom), rom, HC_SLOT_READONLY), 0);
	st->sys[A64_VBAR_EL1] = VBAR;
	device.value = 0xabcd;
	RUN(steps);
	expect_poweroff();
	assert_int_equal(model_kvm_get(0, REG_X(7)), 0xabcd);
	assert_int_equal(model_kvm_get(0, REG_PC), VBAR + 0x200 + 3 * 4);
	end();
}

/* A CPU that is reset from outside: what its guest did to its registers is not taken for known. */
static void test_reset_from_outside(void **state)
{
	make(1);
	kvm_backend.load(vm->vcpus[0]);
	model_kvm_script(0, one_read + 1, 1);
	assert_int_equal(one_exit(), HC_EXIT_INTERRUPT);
	model_kvm_set(0, REG_X(5), 99);
	a64_vcpu_reset(vm->vcpus[0]);
	kvm_backend.set_state(vm->vcpus[0], A64_G_ALL & ~KVM_A64_NEUTRAL);
	assert_int_equal(model_kvm_get(0, REG_X(5)), 0);
	kvm_backend.put(vm->vcpus[0]);
	end();
}

/* A kick that comes between two entries ends the next one at once. */
static void test_kick(void **state)
{
	begin_read();
	assert_ptr_equal(exit_flag, &((struct kvm_run *)model_kvm.vcpu[0].run)->immediate_exit);
	atomic_store(&vm->vcpus[0]->cpu->attention, true);
	assert_int_equal(one_exit(), HC_EXIT_INTERRUPT);
	assert_int_equal(model_kvm.vcpu[0].at, 1);
	assert_int_equal(model_kvm_get(0, REG_X(7)), 0xabcd);
	assert_false(atomic_load(&vm->vcpus[0]->cpu->attention));
	assert_int_equal(one_exit(), HC_EXIT_INTERRUPT);
	assert_int_equal(model_kvm.vcpu[0].at, 2);
	end_read();
}

/* STP, of which the CPU does not tell what it stores: decoded here. */
static void test_undescribed(void **state)
{
	static const uint32_t stp = 0xa9008861; /* stp x1, x2, [x3, #8] */
	static const struct model_kvm_step steps[] = {
		{ .kind = MODEL_KVM_UNDESCRIBED, .address = DEVICE + 8 },
	};

	make(1);
	assert_int_equal(hc_mem_write(vm, gpa_of(RAM), &stp, sizeof(stp)), 0);
	st->x[1] = 0x1111;
	st->x[2] = 0x2222;
	st->x[3] = DEVICE;
	RUN(steps);
	expect_poweroff();
	assert_int_equal(device.writes, 2);
	assert_int_equal(device.value, 0x2222);
	assert_int_equal(device.offset, 16);
	assert_int_equal(model_kvm_get(0, REG_PC), RAM + 8);
	end();
}

/* --- Interrupts --- */

static void write_gic(uint64_t address, uint32_t value)
{
	assert_int_equal(hc_bus_write(vm, HC_SPACE_MEMORY, address, 4, value), 0);
}

static void line_is_up(void)
{
	assert_true(model_kvm.vcpu[0].irq);
	assert_false(model_kvm.vcpu[0].fiq);
}

static void line_is_down(void)
{
	assert_false(model_kvm.vcpu[0].irq);
	assert_false(model_kvm.vcpu[0].fiq);
}

/* Linux's way with the virtual timer: it fires, is acknowledged, set anew, ended. */
static void test_timer(void **state)
{
	static const struct model_kvm_step steps[] = {
		{ .kind = MODEL_KVM_WRITE, .address = GICC + 4, .size = 4, .rt = 1 },
		{ .kind = MODEL_KVM_WRITE, .address = GICC, .size = 4, .rt = 2 },
		{ .kind = MODEL_KVM_SIGNAL, .levels = 1, .before = line_is_down },
		{ .kind = MODEL_KVM_READ,
		  .address = GICC + 0xc,
		  .size = 4,
		  .rt = 3,
		  .levels = 1,
		  .before = line_is_up },
		{ .kind = MODEL_KVM_SIGNAL, .before = line_is_down },
		{ .kind = MODEL_KVM_WRITE, .address = GICC + 0x10, .size = 4, .rt = 4 },
		{ .kind = MODEL_KVM_SIGNAL, .before = line_is_down },
		/* Another time it is ended while the level is still up. */
		{ .kind = MODEL_KVM_SIGNAL, .levels = 1, .before = line_is_down },
		{ .kind = MODEL_KVM_READ,
		  .address = GICC + 0xc,
		  .size = 4,
		  .rt = 5,
		  .levels = 1,
		  .before = line_is_up },
		{ .kind = MODEL_KVM_WRITE,
		  .address = GICC + 0x10,
		  .size = 4,
		  .rt = 4,
		  .levels = 1,
		  .before = line_is_down },
		{ .kind = MODEL_KVM_SIGNAL, .levels = 1, .before = line_is_up },
		{ .kind = MODEL_KVM_SIGNAL, .before = line_is_up },
		{ .kind = MODEL_KVM_SIGNAL, .before = line_is_down },
	};

	make(1);
	write_gic(GICD, 1);
	write_gic(GICD + 0x100, 1u << 27);
	st->x[1] = 0xf0;
	st->x[2] = 1;
	st->x[4] = 27;
	RUN(steps);
	expect_poweroff();
	assert_int_equal(model_kvm_get(0, REG_X(3)), 27);
	assert_int_equal(model_kvm_get(0, REG_X(5)), 27);
	end();
}

/* Group 0 as FIQ. */
static void fiq_is_up(void)
{
	assert_true(model_kvm.vcpu[0].fiq);
	assert_false(model_kvm.vcpu[0].irq);
}

static void test_fiq(void **state)
{
	static const struct model_kvm_step steps[] = {
		{ .kind = MODEL_KVM_WRITE, .address = GICC + 4, .size = 4, .rt = 1 },
		{ .kind = MODEL_KVM_WRITE, .address = GICC, .size = 4, .rt = 2 },
		{ .kind = MODEL_KVM_SIGNAL, .levels = 2 },
		{ .kind = MODEL_KVM_SIGNAL, .levels = 2, .before = fiq_is_up },
	};

	make(1);
	write_gic(GICD, 1);
	write_gic(GICD + 0x100, 1u << 30);
	st->x[1] = 0xf0;
	st->x[2] = 9; /* EnableGrp0, FIQEn */
	RUN(steps);
	end();
}

/* --- PSCI --- */

static void test_cpu_on(void **state)
{
	static const struct model_kvm_step first[] = {
		{ .kind = MODEL_KVM_CALL, .value = 0xc4000003 },
		{ .kind = MODEL_KVM_SIGNAL },
		{ .kind = MODEL_KVM_SIGNAL },
		{ .kind = MODEL_KVM_CALL, .value = 0x84000002 },
	};
	static const struct model_kvm_step second[] = {
		{ .kind = MODEL_KVM_SIGNAL },
	};

	make(2);
	st->x[1] = 1;
	st->x[2] = RAM + 0x4000;
	st->x[3] = 0x77;
	model_kvm_script(1, second, 1);
	RUN(first);
	expect_poweroff();
	assert_int_equal(model_kvm.vcpu[1].at, 1);
	assert_int_equal(model_kvm_get(1, REG_PC), RAM + 0x4004);
	end();
}

/* WFI and CPU_SUSPEND are KVM's. */
static void test_suspend_is_kvms(void **state)
{
	static const struct model_kvm_step steps[] = {
		{ .kind = MODEL_KVM_CALL, .value = 0x84000001 },
		{ .kind = MODEL_KVM_CALL, .value = 0xc4000001 },
	};

	make(1);
	RUN(steps);
	expect_poweroff();
	end();
}

/* Older kernels do all of it: vCPUs start in their hands, and the end is an event. */
static void test_psci_of_kvm(void **state)
{
	static const struct model_kvm_step steps[] = {
		{ .kind = MODEL_KVM_CALL, .value = 0x84000000 },
	};

	model_kvm.has_filter = false;
	make(2);
	assert_int_equal(model_kvm.vcpu[0].features, 1u << KVM_ARM_VCPU_PSCI_0_2);
	assert_int_equal(model_kvm.vcpu[1].features,
	                 1u << KVM_ARM_VCPU_PSCI_0_2 | 1u << KVM_ARM_VCPU_POWER_OFF);
	assert_int_equal(a64_vcpu_of(vm->vcpus[1])->power, A64_POWER_ON);
	model_kvm_script(1, NULL, 0);
	RUN(steps);
	expect_poweroff();
	end();
}

static void test_reset_of_kvm(void **state)
{
	static const struct model_kvm_step steps[] = {
		{ .kind = MODEL_KVM_CALL, .value = 0x84000009 },
	};

	model_kvm.has_filter = false;
	make(1);
	RUN(steps);
	assert_int_equal(hc_vm_cause(vm), HC_STOP_RESET);
	end();
}

/* --- Failures --- */

static void expect_failure(const char *text)
{
	assert_int_equal(hc_vm_cause(vm), HC_STOP_FAILURE);
	if (!strstr(hc_vm_reason(vm), text))
		fail_msg("%s", hc_vm_reason(vm));
	end();
}

static void test_failures(void **state)
{
	static const struct model_kvm_step failed[] = {
		{ .kind = MODEL_KVM_ERROR, .value = ENOSYS },
	};
	static const struct model_kvm_step unknown[] = {
		{ .kind = MODEL_KVM_EXIT, .value = KVM_EXIT_DCR },
	};
	static const struct model_kvm_step far_off[] = {
		{ .kind = MODEL_KVM_EXIT, .value = 4000 },
	};
	static const struct model_kvm_step entry[] = {
		{ .kind = MODEL_KVM_EXIT, .value = KVM_EXIT_FAIL_ENTRY },
	};

	make(1);
	RUN(failed);
	expect_failure("KVM_RUN: Function not implemented");
	make(1);
	RUN(unknown);
	expect_failure("KVM exit reason 15");
	make(1);
	RUN(far_off);
	expect_failure("KVM exit reason 4000");
	make(1);
	RUN(entry);
	expect_failure("KVM_EXIT_FAIL_ENTRY");
}

#define TEST(name) cmocka_unit_test_setup(test_##name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(probe),
		TEST(settings),
		TEST(narrow_addresses),
		TEST(old_counter),
		TEST(id_registers),
		TEST(dirty_log),
		TEST(dirty_log_fails),
		TEST(state),
		TEST(serror),
		TEST(few_writes),
		TEST(accesses),
		TEST(state_after_access),
		TEST(change_after_access),
		TEST(kick),
		TEST(cost_of_exits),
		TEST(nothing_answers),
		TEST(state_after_miss),
		TEST(answers_after_miss),
		TEST(reset_from_outside),
		TEST(undescribed),
		TEST(timer),
		TEST(fiq),
		TEST(cpu_on),
		TEST(suspend_is_kvms),
		TEST(psci_of_kvm),
		TEST(reset_of_kvm),
		TEST(failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
