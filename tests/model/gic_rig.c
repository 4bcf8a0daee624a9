/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/gic_rig.h"

#include <string.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"

struct rig rig;

static int current = -1;
static unsigned version;

/* --- A backend that keeps the interface in the model --- */

static void get_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	assert_int_equal(groups, A64_G_GIC);
	a64_state_of(vcpu)->gic = rig.hw[vcpu->id].r;
}

static const struct hc_backend_ops backend = { .name = "rig", .get_state = get_state };

/* What the entry of a backend does: dirty state goes to the hardware, and is rubbish from then. */
static void load(unsigned cpu)
{
	struct hc_vcpu *vcpu = &rig.vcpu[cpu].vcpu;

	if (vcpu->dirty & A64_G_GIC)
		model_gic_load(&rig.hw[cpu], &rig.vcpu[cpu].state.gic);
	if (rig.hw[cpu].complaint)
		fail_msg("vCPU %u: %s", cpu, rig.hw[cpu].complaint);
	vcpu->valid = vcpu->dirty = 0;
	memset(&rig.vcpu[cpu].state.gic, 0xa5, sizeof(rig.vcpu[cpu].state.gic));
}

/* A physical interrupt comes in if its level is up and it is not active. */
static void fire_linked(unsigned cpu)
{
	if (!rig.linked_level[cpu] || rig.linked_active[cpu])
		return;
	rig.linked_active[cpu] = true;
	gic_set_ppi(&rig.vcpu[cpu].vcpu, A64_PPI_VTIMER, true, true);
}

static void deactivated(struct model_gic *m, unsigned intid)
{
	unsigned cpu = (unsigned)(m - rig.hw);

	assert_int_equal(intid, A64_PPI_VTIMER);
	rig.linked_active[cpu] = false;
}

/* --- Life --- */

static void make_vcpu(unsigned i, const struct rig_config *c)
{
	struct a64_vcpu *a = &rig.vcpu[i];

	a->vcpu.vm = &rig.vm.vm;
	a->vcpu.id = i;
	a->vcpu.backend = &backend;
	a->vcpu.state = &a->state;
	a->vcpu.valid = a->vcpu.dirty = A64_G_ALL;
	a->state.mpidr = HC_BIT(31) | i;
	a->power = A64_POWER_ON;
	rig.vm.vm.vcpus[i] = &a->vcpu;
	rig.hw[i] = (struct model_gic){ .list_registers = c->list_registers,
		                        .priority_bits = c->priority_bits,
		                        .v2 = c->version == 2,
		                        .deactivated = deactivated };
}

void rig_start(const struct rig_config *c)
{
	const struct gic_config config = { .version = c->version,
		                           .spis = c->spis,
		                           .list_registers = c->list_registers,
		                           .priority_bits = c->priority_bits,
		                           .dist = RIG_DIST,
		                           .redist = RIG_REDIST };

	if (rig.vm.gic) /* of a test that failed */
		gic_destroy(&rig.vm.vm);
	test_platform_init(1);
	memset(&rig, 0, sizeof(rig));
	memcpy(rig.vm.vm.name, "rig", 4);
	hc_list_init(&rig.vm.vm.devices);
	current = -1;
	version = c->version;
	rig.vm.vm.cpu_count = c->cpus;
	for (unsigned i = 0; i < c->cpus; i++)
		make_vcpu(i, c);
	assert_int_equal(gic_create(&rig.vm.vm, &config), 0);
}

void rig_stop(void)
{
	rig_leave();
	for (unsigned i = 0; i < rig.vm.vm.cpu_count; i++)
		assert_null(rig.hw[i].complaint);
	gic_destroy(&rig.vm.vm);
	assert_null(rig.vcpu[0].gic);
	assert_int_equal(test_allocated, 0);
}

/* --- Running --- */

void rig_leave(void)
{
	if (current >= 0) {
		hc_vcpu_need(&rig.vcpu[current].vcpu, A64_G_GIC);
		rig.vcpu[current].vcpu.run_state = HC_VCPU_READY;
	}
	hc_platform_this_cpu()->current = NULL;
	current = -1;
}

static void take_requests(unsigned cpu)
{
	struct hc_vcpu *vcpu = &rig.vcpu[cpu].vcpu;

	if (atomic_fetch_and(&vcpu->requests, ~(uint32_t)HC_REQ_EVENT) & HC_REQ_EVENT)
		gic_before_entry(vcpu);
	load(cpu);
}

static void become(unsigned cpu)
{
	if (current != (int)cpu) {
		rig_leave();
		current = (int)cpu;
		hc_platform_this_cpu()->current = &rig.vcpu[cpu].vcpu;
		rig.vcpu[cpu].vcpu.run_state = HC_VCPU_RUNNING;
	}
	rig_settle();
}

static int somebody_else(unsigned cpu)
{
	for (unsigned i = 0; i < rig.vm.vm.cpu_count; i++)
		if (i != cpu && (rig.vcpu[i].vcpu.requests & HC_REQ_EVENT))
			return (int)i;
	return -1;
}

void rig_enter(unsigned cpu)
{
	unsigned turns = 0;
	int other;

	do {
		while ((other = somebody_else(cpu)) >= 0) {
			become((unsigned)other);
			if (++turns > 100)
				fail_msg("vCPUs poke each other for ever");
		}
		become(cpu);
	} while (somebody_else(cpu) >= 0);
}

void rig_settle(void)
{
	unsigned cpu = (unsigned)current, rounds = 0;

	fire_linked(cpu);
	take_requests(cpu);
	while (model_gic_maintenance(&rig.hw[cpu])) {
		rig.maintenance++;
		if (++rounds > 4)
			fail_msg("vCPU %u: maintenance interrupt %#x stays", cpu,
			         model_gic_maintenance(&rig.hw[cpu]));
		hc_vcpu_request(&rig.vcpu[cpu].vcpu, HC_REQ_EVENT);
		take_requests(cpu);
	}
	rig.max_rounds = hc_max(rig.max_rounds, rounds);
}

void rig_set_linked(bool level)
{
	rig.linked_level[current] = level;
	rig_settle();
}

uint64_t rig_read(uint64_t address, unsigned size)
{
	uint64_t value;

	assert_int_equal(hc_bus_read(&rig.vm.vm, HC_SPACE_MEMORY, address, size, &value), 0);
	if (current >= 0)
		rig_settle();
	return value;
}

void rig_write(uint64_t address, unsigned size, uint64_t value)
{
	assert_int_equal(hc_bus_write(&rig.vm.vm, HC_SPACE_MEMORY, address, size, value), 0);
	if (current >= 0)
		rig_settle();
}

uint64_t rig_field(unsigned cpu, unsigned intid, unsigned offset, unsigned bits)
{
	uint64_t page = RIG_DIST;

	if (version == 3 && intid < GIC_SPI_FIRST)
		page = RIG_REDIST + cpu * 0x20000 + 0x10000;
	return page + offset + (intid * bits / 32) * 4;
}

bool rig_bit(unsigned cpu, unsigned intid, unsigned offset)
{
	return rig_read(rig_field(cpu, intid, offset, 1), 4) >> intid % 32 & 1;
}

void rig_set_bit(unsigned cpu, unsigned intid, unsigned offset)
{
	rig_write(rig_field(cpu, intid, offset, 1), 4, HC_BIT(intid % 32));
}

void rig_line(unsigned spi, bool level)
{
	hc_dev_lock(&rig.vm.vm);
	hc_irq_set(&rig.vm.vm, spi, level);
	hc_dev_unlock(&rig.vm.vm);
	if (current >= 0)
		rig_settle();
}
