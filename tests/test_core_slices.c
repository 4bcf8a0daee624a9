/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two VMs that share a CPU, whose backend counts guests' time or leaves that to the host's timer.
 * Each guest runs for some time, exits for something that takes the hypervisor some time, and
 * again.
 */
#include "tests/fake.h"
#include "tests/platform.h"
#include "tests/unit.h"

#define SLICE UINT64_C(5000000)
#define TURNS 100

struct guest {
	uint64_t inside_ns, outside_ns; /* per exit */
	uint64_t total_ns;              /* it had the CPU for */
	uint64_t left_ns, limit_ns;     /* to its next exit; of limit() */
};

static struct guest guests[2];
static unsigned host_interrupts;
static uint64_t end_ns;

static struct guest *guest_of(struct hc_vcpu *vcpu)
{
	return &guests[hc_vm_name(vcpu->vm)[0] - 'a'];
}

static bool limit(struct hc_vcpu *vcpu, uint64_t ns)
{
	guest_of(vcpu)->limit_ns = ns;
	return true;
}

static bool refuse(struct hc_vcpu *vcpu, uint64_t ns)
{
	return false;
}

static void put(struct hc_vcpu *vcpu)
{
	guest_of(vcpu)->limit_ns = UINT64_MAX;
}

static void advance(struct guest *g, uint64_t ns)
{
	test_now_ns += ns;
	g->total_ns += ns;
}

/* What ends the guest's run first. */
static enum hc_exit_reason run_guest(struct guest *g)
{
	uint64_t deadline = test_deadline_ns[0];
	uint64_t to_timer = deadline > test_now_ns ? deadline - test_now_ns : 0;
	uint64_t ns = hc_min(hc_min(g->left_ns, g->limit_ns), to_timer);

	advance(g, ns);
	g->left_ns -= ns;
	g->limit_ns -= g->limit_ns == UINT64_MAX ? 0 : ns;
	if (ns == to_timer) {
		host_interrupts++;
		return HC_EXIT_INTERRUPT;
	}
	return g->limit_ns ? HC_EXIT_CPUID : HC_EXIT_SLICE;
}

static void run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	exit->reason = run_guest(guest_of(vcpu));
	vcpu->valid = 1;
	vcpu->dirty = 0;
	if (test_now_ns < end_ns)
		return;
	atomic_store(&vcpu->cpu->stop, true);
	atomic_fetch_or(&vcpu->requests, HC_REQ_YIELD);
}

static int handle(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct guest *g = guest_of(vcpu);

	advance(g, g->outside_ns);
	g->left_ns = g->inside_ns;
	return HC_ACT_RESUME;
}

static const hc_exit_handler handlers[HC_EXIT_REASON_COUNT] = { [HC_EXIT_CPUID] = handle };

static struct hc_vm *new_vm(const char *name, const struct hc_backend_ops *backend,
                            const struct hc_arch_ops *arch, uint64_t inside, uint64_t outside)
{
	const struct hc_vm_config config = {
		.name = name, .arch = arch, .backend = backend, .cpus = 1
	};
	struct hc_vm *vm = NULL;

	guests[name[0] - 'a'] = (struct guest){ .inside_ns = inside,
		                                .outside_ns = outside,
		                                .left_ns = inside,
		                                .limit_ns = UINT64_MAX };
	assert_int_equal(hc_vm_create(&vm, &config), 0);
	assert_int_equal(hc_vm_start(vm), 0);
	return vm;
}

struct shape {
	uint64_t inside, outside;
};

/* Both share a CPU for TURNS slices. Slices that either got. */
static unsigned share(bool (*op)(struct hc_vcpu *, uint64_t), struct shape a, struct shape b)
{
	struct hc_backend_ops backend = fake_backend;
	struct hc_arch_ops arch = fake_arch;

	backend.run = run;
	backend.put = put;
	backend.limit = op;
	arch.handlers = handlers;
	test_platform_init(1);
	host_interrupts = 0;
	end_ns = test_now_ns + TURNS * SLICE;
	struct hc_vm *vms[2] = { new_vm("a", &backend, &arch, a.inside, a.outside),
		                 new_vm("b", &backend, &arch, b.inside, b.outside) };

	fake_run_cpu(0);
	uint64_t slices[2] = { vms[0]->vcpus[0]->stats.slices, vms[1]->vcpus[0]->stats.slices };

	assert_in_range(slices[0], slices[1], slices[1] + 1);
	end_ns = UINT64_MAX;
	for (unsigned i = 0; i < 2; i++)
		hc_vm_stop(vms[i], HC_STOP_REQUEST, 0);
	fake_run_cpu(0);
	for (unsigned i = 0; i < 2; i++)
		hc_vm_destroy(vms[i]);
	return (unsigned)(slices[0] + slices[1]);
}

static const struct shape busy = { 1000000000, 0 };
static const struct shape some_exits = { 90000, 10000 };
static const struct shape many_exits = { 1000, 9000 };

/* The difference of what they had, in hundredths of what they had together. */
static unsigned unevenness(void)
{
	uint64_t a = guests[0].total_ns, b = guests[1].total_ns;

	return (unsigned)(100 * (a > b ? a - b : b - a) / (a + b));
}

static void the_hosts_timer_ends_slices(void **state)
{
	assert_in_range(share(NULL, busy, busy), TURNS, TURNS + 1);
	assert_in_range(host_interrupts, TURNS - 1, TURNS);
	assert_in_range(unevenness(), 0, 1);
	/* Some CPUs' hardware can, this one's not. */
	assert_in_range(share(refuse, busy, busy), TURNS, TURNS + 1);
	assert_in_range(host_interrupts, TURNS - 1, TURNS);
}

static void the_backend_ends_slices(void **state)
{
	assert_in_range(share(limit, busy, busy), TURNS, TURNS + 1);
	assert_int_equal(host_interrupts, 0);
	assert_in_range(unevenness(), 0, 1);
	/* Exits take a tenth of the time: slices are that much longer, for both. */
	assert_in_range(share(limit, some_exits, some_exits), TURNS * 8 / 10, TURNS);
	assert_int_equal(host_interrupts, 0);
	assert_in_range(unevenness(), 0, 2);
}

/* Who runs little and exits a lot gets no more than the grace of the host's timer. */
static void exits_do_not_stretch_slices(void **state)
{
	share(limit, many_exits, busy);
	assert_true(host_interrupts > 0);
	assert_in_range(unevenness(), 0, 13);
	share(limit, many_exits, many_exits);
	assert_in_range(unevenness(), 0, 2);
}

/* Alone, a vCPU is not interrupted at all. */
static void who_is_alone_has_no_limit(void **state)
{
	share(limit, busy, busy);
	struct hc_backend_ops backend = fake_backend;
	struct hc_arch_ops arch = fake_arch;

	backend.run = run;
	backend.put = put;
	backend.limit = limit;
	arch.handlers = handlers;
	test_platform_init(1);
	host_interrupts = 0;
	end_ns = test_now_ns + TURNS * SLICE;
	struct hc_vm *vm = new_vm("a", &backend, &arch, 100000, 0);

	fake_run_cpu(0);
	assert_int_equal(vm->vcpus[0]->stats.slices, 1);
	assert_int_equal(vm->vcpus[0]->stats.exits[HC_EXIT_SLICE].count, 0);
	assert_int_equal(host_interrupts, 0);
	hc_vm_stop(vm, HC_STOP_REQUEST, 0);
	fake_run_cpu(0);
	hc_vm_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hosts_timer_ends_slices),
		cmocka_unit_test(the_backend_ends_slices),
		cmocka_unit_test(exits_do_not_stretch_slices),
		cmocka_unit_test(who_is_alone_has_no_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
