/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vCPUs that run at the same time, two on each thread in turns, as on physical CPUs: they send each
 * other SGIs, handle SPIs that a device thread raises, move and disable them, and read what others
 * have listed. No interrupt may be lost, and nobody may wait for ever.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "arch/aarch64/gic/gic.h"
#include "core/bus.h"
#include "core/irq.h"
#include "core/sched.h"
#include "tests/model/gic_cpu.h"
#include "tests/unit.h"

#define CPUS     3
#define VCPUS    6
#define SGIS     4
#define SPIS     8
#define STEPS    30000
#define PATIENCE 2000000 /* steps until what is left must have been handled */
#define WANTED   200     /* SPIs raised, however seldom the device's thread gets its turn */
#define DIST     UINT64_C(0x08000000)
#define REDIST   UINT64_C(0x080a0000)

static struct hc_cpu cpus[CPUS];
static _Thread_local struct hc_cpu *this_cpu;
static struct a64_vm vm;
static struct a64_vcpu vcpus[VCPUS];
static struct model_gic hw[VCPUS];
static _Atomic unsigned sent[VCPUS][SGIS], handled[VCPUS][SGIS], served;
static _Atomic bool done;
static _Atomic unsigned busy; /* vCPUs that still do more than handle interrupts */
static unsigned raised;

/* --- A platform of threads --- */

struct hc_cpu *hc_platform_this_cpu(void)
{
	return this_cpu;
}

bool hc_platform_irq_disable(void)
{
	return false;
}

void hc_platform_irq_restore(bool enabled)
{
}

void hc_platform_irq_window(void)
{
}

void hc_platform_kick(struct hc_cpu *cpu)
{
	atomic_store(&cpu->attention, true);
}

void hc_platform_relax(void)
{
	sched_yield();
}

void hc_platform_idle(void)
{
}

void hc_platform_set_deadline(uint64_t deadline_ns)
{
}

uint64_t hc_platform_now_ns(void)
{
	return 0;
}

uint64_t hc_platform_cycles(void)
{
	return 0;
}

uint64_t hc_platform_cycles_hz(void)
{
	return 1000000000;
}

void *hc_platform_alloc(size_t size)
{
	return calloc(1, size);
}

void hc_platform_free(void *p, size_t size)
{
	free(p);
}

void *hc_platform_alloc_pages(unsigned order)
{
	return NULL;
}

void *hc_platform_alloc_raw(unsigned order)
{
	return NULL;
}

void hc_platform_clear(void *p, uint64_t size)
{
}

void hc_platform_free_pages(void *p, unsigned order)
{
}

hpa_t hc_platform_to_hpa(const void *p)
{
	return hpa_of((uintptr_t)p);
}

void *hc_platform_from_hpa(hpa_t pa)
{
	return (void *)(uintptr_t)pa.v;
}

unsigned hc_platform_max_order(void)
{
	return 0;
}

void hc_platform_log(const char *line, size_t len)
{
	fprintf(stderr, "%.*s\n", (int)len, line);
}

void hc_platform_panic(const char *message)
{
	fprintf(stderr, "panic: %s\n", message);
	abort();
}

/* --- vCPUs --- */

static void get_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	a64_state_of(vcpu)->gic = hw[vcpu->id].r;
}

static const struct hc_backend_ops backend = { .name = "threads", .get_state = get_state };

static void enter(struct a64_vcpu *a)
{
	struct model_gic *m = &hw[a->vcpu.id];

	do {
		if (model_gic_maintenance(m)) {
			hc_vcpu_need(&a->vcpu, A64_G_GIC);
			hc_vcpu_request(&a->vcpu, HC_REQ_EVENT);
		}
		if (atomic_fetch_and(&a->vcpu.requests, ~(uint32_t)HC_REQ_EVENT) & HC_REQ_EVENT)
			gic_before_entry(&a->vcpu);
		if (a->vcpu.dirty & A64_G_GIC)
			model_gic_load(m, &a->state.gic);
		a->vcpu.valid = a->vcpu.dirty = 0;
		memset(&a->state.gic, 0xa5, sizeof(a->state.gic));
	} while (model_gic_maintenance(m));
}

/* The device lowers its line when it is served. */
static void serve(unsigned spi)
{
	hc_dev_lock(&vm.vm);
	if (vm.vm.irq.levels >> spi & 1) {
		hc_irq_set(&vm.vm, spi, false);
		atomic_fetch_add(&served, 1);
	}
	hc_dev_unlock(&vm.vm);
}

static void handle_one(struct a64_vcpu *a)
{
	unsigned number = model_gic_acknowledge(&hw[a->vcpu.id], 1);

	if (number == MODEL_GIC_SPURIOUS)
		return;
	if (number < SGIS)
		atomic_store(&handled[a->vcpu.id][number], atomic_load(&sent[a->vcpu.id][number]));
	else if (number >= GIC_SPI_FIRST)
		serve(number - GIC_SPI_FIRST);
	enter(a);
	model_gic_end(&hw[a->vcpu.id], 1, number);
}

static void send(struct a64_vcpu *a, uint64_t *seed)
{
	unsigned sgi = (unsigned)test_below(seed, SGIS);
	unsigned targets = (unsigned)test_below(seed, 1u << VCPUS);

	for (unsigned to = 0; to < VCPUS; to++)
		if (targets >> to & 1)
			atomic_fetch_add(&sent[to][sgi], 1);
	gic_send_sgi(&a->vcpu, (uint64_t)sgi << 24 | targets, 1);
}

static void configure(uint64_t *seed)
{
	uint64_t value, spi = test_below(seed, SPIS), to = test_below(seed, VCPUS);

	switch (test_below(seed, 5)) {
	case 0: hc_bus_write(&vm.vm, HC_SPACE_MEMORY, DIST + 0x6100 + 8 * spi, 8, to); break;
	case 1:
		hc_bus_write(&vm.vm, HC_SPACE_MEMORY, DIST + 0x184, 4, HC_BIT(spi));
		hc_bus_write(&vm.vm, HC_SPACE_MEMORY, DIST + 0x104, 4, HC_BIT(spi));
		break;
	case 2:
		hc_bus_read(&vm.vm, HC_SPACE_MEMORY, REDIST + to * 0x20000 + 0x10300, 4, &value);
		break;
	case 3: hc_bus_read(&vm.vm, HC_SPACE_MEMORY, DIST + 0x204, 4, &value); break;
	default: hc_bus_read(&vm.vm, HC_SPACE_MEMORY, DIST + 0x304, 4, &value); break;
	}
}

static void step(struct a64_vcpu *a, uint64_t *seed, unsigned *steps)
{
	enter(a);
	handle_one(a);
	enter(a);
	if (*steps == STEPS)
		return;
	if (++*steps == STEPS)
		atomic_fetch_sub(&busy, 1);
	if (test_below(seed, 3) == 0)
		send(a, seed);
	else if (test_below(seed, 4) == 0)
		configure(seed);
}

static void switch_to(struct hc_cpu *cpu, struct a64_vcpu *a, bool running)
{
	if (!running)
		hc_vcpu_need(&a->vcpu, A64_G_GIC);
	hc_lock(&cpu->lock);
	cpu->current = running ? &a->vcpu : NULL;
	atomic_store(&a->vcpu.run_state, running ? HC_VCPU_RUNNING : HC_VCPU_READY);
	hc_unlock(&cpu->lock);
	/* As a backend's load(): another vCPU was in the CPU. */
	if (running)
		hc_vcpu_dirty(&a->vcpu, A64_G_GIC);
}

static void *run_cpu(void *arg)
{
	struct hc_cpu *cpu = arg;
	uint64_t seed = cpu->id + 1;
	unsigned steps[VCPUS] = { 0 };

	this_cpu = cpu;
	while (!atomic_load(&done)) {
		for (unsigned i = cpu->id; i < VCPUS; i += CPUS) {
			switch_to(cpu, &vcpus[i], true);
			for (uint64_t n = test_below(&seed, 50); n > 0; n--)
				step(&vcpus[i], &seed, &steps[i]);
			switch_to(cpu, &vcpus[i], false);
		}
		sched_yield();
	}
	return NULL;
}

/* --- The rest of the machine --- */

static void make_vcpu(unsigned i)
{
	struct a64_vcpu *a = &vcpus[i];

	a->vcpu.vm = &vm.vm;
	a->vcpu.id = i;
	a->vcpu.backend = &backend;
	a->vcpu.state = &a->state;
	a->vcpu.cpu = &cpus[i % CPUS];
	a->vcpu.run_state = HC_VCPU_READY;
	a->vcpu.valid = a->vcpu.dirty = A64_G_ALL;
	a->state.mpidr = i;
	a->power = A64_POWER_ON;
	vm.vm.vcpus[i] = &a->vcpu;
	hw[i] = (struct model_gic){ .list_registers = 2, .priority_bits = 5 };
}

static void write32(uint64_t address, uint32_t value)
{
	assert_int_equal(hc_bus_write(&vm.vm, HC_SPACE_MEMORY, address, 4, value), 0);
}

/* All in group 1 and enabled, whatever its priority. */
static void set_up(void)
{
	const struct gic_config config = { 3, 32, 2, 5, DIST, REDIST };

	hc_sched_init(NULL);
	for (unsigned i = 0; i < CPUS; i++) {
		cpus[i].id = i;
		assert_int_equal(hc_sched_add_cpu(&cpus[i]), 0);
	}
	this_cpu = &cpus[0];
	hc_list_init(&vm.vm.devices);
	vm.vm.cpu_count = VCPUS;
	for (unsigned i = 0; i < VCPUS; i++)
		make_vcpu(i);
	assert_int_equal(gic_create(&vm.vm, &config), 0);
	for (unsigned i = 0; i < VCPUS; i++) {
		write32(REDIST + i * 0x20000 + 0x10080, UINT32_MAX);
		write32(REDIST + i * 0x20000 + 0x10100, UINT32_MAX);
		vcpus[i].state.gic.vmcr |= 2 | UINT32_C(0xf8) << 24;
	}
	write32(DIST + 0x84, UINT32_MAX);
	write32(DIST + 0x104, UINT32_MAX);
	write32(DIST, 3);
}

static void raise_lines(void)
{
	uint64_t seed = 99;

	for (unsigned late = 0; atomic_load(&busy) || (raised < WANTED && late < PATIENCE);) {
		late += !atomic_load(&busy);
		unsigned spi = (unsigned)test_below(&seed, SPIS);

		hc_dev_lock(&vm.vm);
		raised += !(vm.vm.irq.levels >> spi & 1);
		hc_irq_set(&vm.vm, spi, true);
		hc_dev_unlock(&vm.vm);
		sched_yield();
	}
}

static bool is_all_handled(void)
{
	for (unsigned i = 0; i < VCPUS; i++)
		for (unsigned n = 0; n < SGIS; n++)
			if (atomic_load(&handled[i][n]) != atomic_load(&sent[i][n]))
				return false;
	return atomic_load(&served) == raised;
}

static void test_nothing_is_lost(void **state)
{
	pthread_t thread[CPUS];

	set_up();
	atomic_store(&busy, VCPUS);
	for (unsigned i = 0; i < CPUS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run_cpu, &cpus[i]), 0);
	this_cpu = &(struct hc_cpu){ .id = CPUS };
	raise_lines();
	for (unsigned i = 0; i < PATIENCE && !is_all_handled(); i++)
		sched_yield();
	bool all = is_all_handled();

	atomic_store(&done, true);
	for (unsigned i = 0; i < CPUS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < VCPUS; i++)
		assert_null(hw[i].complaint);
	assert_true(raised >= WANTED);
	assert_true(all);
	gic_destroy(&vm.vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_nothing_is_lost) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
