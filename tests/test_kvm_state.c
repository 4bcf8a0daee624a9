/* SPDX-License-Identifier: BSD-2-Clause */
/* The KVM backend's state: the round trip of all of it, moves, and kicks. */
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "tests/test_kvm.h"

const struct hc_backend_ops *const guest_backend = &kvm_backend;

/* --- State --- */

GUEST(halt_64, "64", "hlt");

static void fill(void *p, size_t size, uint64_t *seed)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)p)[i] = (uint8_t)test_random(seed);
}

static uint64_t canonical(uint64_t *seed)
{
	return (uint64_t)((int64_t)(test_random(seed) << 16) >> 16);
}

static void random_segments(uint64_t *seed)
{
	static const enum x86_seg data[] = { X86_ES, X86_DS, X86_FS, X86_GS };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(data); i++) {
		guest.st->seg[data[i]].selector = (uint16_t)test_random(seed);
		guest.st->seg[data[i]].base = (uint32_t)test_random(seed);
	}
	guest.st->seg[X86_FS].base = canonical(seed);
	guest.st->seg[X86_GS].base = canonical(seed);
	guest.st->seg[X86_ES].attr &= (uint16_t)~X86_ATTR_P;
	guest.st->seg[X86_TR] = (struct x86_segment){ 0x28, 0x8b, 0x67, canonical(seed) };
	guest.st->seg[X86_LDTR] = (struct x86_segment){ 0x30, 0x82, 0xff, canonical(seed) };
	guest.st->gdtr = (struct x86_dtable){ canonical(seed), 0x7f };
	guest.st->idtr = (struct x86_dtable){ canonical(seed), 0xfff };
}

static void random_msrs(uint64_t *seed)
{
	uint64_t *const addresses[] = { &guest.st->msr_lstar, &guest.st->msr_cstar,
		                        &guest.st->msr_kernel_gs_base };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(addresses); i++)
		*addresses[i] = canonical(seed);
	guest.st->msr_star = test_random(seed);
	guest.st->msr_sfmask = (uint32_t)test_random(seed);
	/* AMD's CPUs have 32 bits of these. */
	guest.st->msr_sysenter_esp = (uint32_t)test_random(seed);
	guest.st->msr_sysenter_eip = (uint32_t)test_random(seed);
	guest.st->msr_sysenter_cs = (uint16_t)test_random(seed);
	guest.st->msr_pat = test_below(seed, 2) ? 0x0007040600070406 : 0x0001050600070406;
}

/* The upper halves of the YMM registers (SDM Vol. 1 13.5.3). */
#define AVX      576
#define AVX_SIZE 256

static bool has_avx(void)
{
	return x86_vm_of(guest.vm)->xcr0_mask & 4;
}

static void random_fpu(uint64_t *seed)
{
	memset(guest.st->xsave, 0, sizeof(guest.st->xsave));
	fill(guest.st->xsave + 160, 256, seed);      /* XMM */
	memcpy(guest.st->xsave, "\x7f\x02", 2);      /* FCW */
	memcpy(guest.st->xsave + 24, "\x80\x3f", 2); /* MXCSR */
	memcpy(guest.st->xsave + 28, "\xff\xff", 2); /* MXCSR's mask, which is read only */
	for (unsigned i = 0; i < 8; i++)
		fill(guest.st->xsave + 32 + 16 * i, 10, seed); /* ST */
	guest.st->xsave[512] = 3;
	if (x86_vm_of(guest.vm)->xcr0_mask)
		guest.st->xcr0 = test_below(seed, 2) ? x86_vm_of(guest.vm)->xcr0_mask : 1;
	if (!has_avx())
		return;
	guest.st->xsave[512] |= 4;
	fill(guest.st->xsave + AVX, AVX_SIZE, seed);
}

static void random_state(uint64_t *seed)
{
	static const struct x86_event events[] = {
		{ 0 },
		{ 1, X86_EVENT_INTR, 0x41, 0, 0 },
		{ 1, X86_EVENT_NMI, 2, 0, 0 },
		{ 1, X86_EVENT_EXCEPTION, X86_VEC_PF, 1, 7 },
		{ 1, X86_EVENT_EXCEPTION, X86_VEC_DE, 0, 0 },
	};

	fill(guest.st->gpr, sizeof(guest.st->gpr), seed);
	guest.st->rip = canonical(seed);
	guest.st->rflags = X86_FLAG_1 | (test_random(seed) & 0x200cd5);
	random_segments(seed);
	guest.st->cpl = test_below(seed, 2) ? 3 : 0;
	guest.st->seg[X86_CS].attr =
		(uint16_t)((guest.st->seg[X86_CS].attr & ~0x60u) | (unsigned)guest.st->cpl << 5);
	guest.st->seg[X86_SS].attr =
		(uint16_t)((guest.st->seg[X86_SS].attr & ~0x60u) | (unsigned)guest.st->cpl << 5);
	guest.st->cr2 = test_random(seed);
	fill(guest.st->dr, sizeof(guest.st->dr), seed);
	for (unsigned i = 0; i < 4; i++)
		guest.st->dr[i] = canonical(seed);
	guest.st->dr6 = 0xffff0ff0 | test_below(seed, 16);
	guest.st->dr7 = 0x400 | test_below(seed, 256);
	random_msrs(seed);
	random_fpu(seed);
	guest.st->events.reinject = events[test_below(seed, HC_ARRAY_SIZE(events))];
	guest.st->events.interrupt_shadow = (uint8_t)test_below(seed, 2);
	guest.st->events.nmi_masked = (uint8_t)test_below(seed, 2);
	guest.st->tsc_offset = test_random(seed) >> 8;
}

/* KVM gives back what it was given. A counter that it cannot offset it says it did not. */
static void test_state(void **state)
{
	struct x86_state *expected = malloc(sizeof(*expected));
	uint64_t seed = 9001;

	guest_make(halt_64, halt_64_end);
	guest_long_mode();
	for (unsigned n = 0; n < test_rounds(50); n++) {
		random_state(&seed);
		memcpy(expected, guest.st, sizeof(*guest.st));
		guest.vcpu->dirty = 0;
		guest.vcpu->valid = X86_G_ALL;
		kvm_backend.set_state(guest.vcpu, X86_G_ALL);
		if (guest_has_extensions())
			assert_int_equal(guest.st->tsc_offset, expected->tsc_offset);
		memset(guest.st, 0xee, sizeof(*guest.st));
		guest.vcpu->valid = 0;
		kvm_backend.get_state(guest.vcpu, X86_G_ALL);
		assert_memory_equal(guest.st->gpr, expected->gpr, sizeof(guest.st->gpr));
		assert_int_equal(guest.st->rip, expected->rip);
		assert_int_equal(guest.st->rflags, expected->rflags);
		assert_memory_equal(&guest.st->cr0, &expected->cr0,
		                    offsetof(struct x86_state, cpl) + 1 -
		                            offsetof(struct x86_state, cr0));
		for (unsigned i = 0; i < X86_SEG_COUNT; i++)
			assert_memory_equal(&guest.st->seg[i], &expected->seg[i],
			                    sizeof(guest.st->seg[i]));
		assert_int_equal(guest.st->gdtr.base, expected->gdtr.base);
		assert_int_equal(guest.st->gdtr.limit, expected->gdtr.limit);
		assert_int_equal(guest.st->idtr.base, expected->idtr.base);
		assert_int_equal(guest.st->idtr.limit, expected->idtr.limit);
		assert_memory_equal(guest.st->dr, expected->dr, sizeof(guest.st->dr) + 16);
		assert_memory_equal(&guest.st->msr_star, &expected->msr_star,
		                    offsetof(struct x86_state, tsc_offset) -
		                            offsetof(struct x86_state, msr_star));
		assert_memory_equal(&guest.st->events, &expected->events,
		                    offsetof(struct x86_events, nmi_masked) + 1);
		assert_memory_equal(guest.st->xsave, expected->xsave, 520);
		if (has_avx())
			assert_memory_equal(guest.st->xsave + AVX, expected->xsave + AVX, AVX_SIZE);
		assert_int_equal(guest.st->xcr0, expected->xcr0);
	}
	free(expected);
	guest_end();
}

/* --- A move from one VM to another after any number of exits --- */

GUEST(mover_64, "64",
      "mov $0xd0000000, %ebx; mov $0x508, %edx; mov $3, %ecx; xor %r8d, %r8d;"
      "1: in %dx, %al; movzbl %al, %eax; add %rax, %r8; mov 8(%rbx), %rax; add %rax, %r8;"
      "movups 16(%rbx), %xmm0; movups %xmm0, 0x4200; mov 0x4208, %rax; add %rax, %r8; add %r8d, "
      "4(%rbx);"
      "push %rcx; mov $0x277, %ecx; mov %edx, %esi; rdmsr; mov %esi, %edx; add %rax, %r8; pop %rcx;"
      "mov $0x4100, %esi; mov %r8, (%rsi); push %rcx; mov $5, %ecx; rep outsb; pop %rcx;"
      "dec %ecx; jnz 1b; mov %r8, 0x4000; hlt");

/* Leaves the loop after some exits: as a pause would. */
static unsigned exits_left;

static bool step(void)
{
	struct hc_exit exit;

	if (!exits_left)
		return false;
	exits_left--;
	kvm_backend.run(guest.vcpu, &exit);
	if (exit.reason == HC_EXIT_ENTRY_FAILED || exit.reason == HC_EXIT_UNKNOWN) {
		char why[128];

		kvm_backend.explain(guest.vcpu, &exit, why, sizeof(why));
		fail_msg("at %#llx: %s", (unsigned long long)exit.pc, why);
	}
	assert_true(guest.vcpu->handlers[exit.reason](guest.vcpu, &exit) >= 0);
	return exit.reason != HC_EXIT_HALT;
}

/* Into a VM like this one, devices and all; as if it were on another machine. */
static void move(void)
{
	struct x86_state *saved = malloc(sizeof(*saved));
	uint8_t *memory = malloc(RAM_SIZE);
	unsigned count;

	hc_vcpu_need(guest.vcpu, X86_G_ALL);
	kvm_backend.put(guest.vcpu);
	memcpy(saved, guest.st, sizeof(*guest.st));
	memcpy(memory, guest.ram, RAM_SIZE);
	count = guest.access_count;
	guest_end();
	uint8_t device[BYTES];

	memcpy(device, guest.bytes, BYTES);
	guest_make(mover_64, mover_64_end);
	memcpy(guest.bytes, device, BYTES);
	guest.access_count = count;
	memcpy(guest.st, saved, sizeof(*guest.st));
	memcpy(guest.ram, memory, RAM_SIZE);
	hc_vcpu_dirty(guest.vcpu, X86_G_ALL);
	free(saved);
	free(memory);
}

static uint64_t run_mover(unsigned exits)
{
	guest_make(mover_64, mover_64_end);
	guest_long_mode();
	guest.vcpu->cpu = hc_sched_cpu(0);
	exits_left = exits;
	bool is_running = true;

	while (is_running && exits_left)
		is_running = step();
	if (is_running) {
		move();
		exits_left = 1000;
		while (step())
			continue;
	}
	uint64_t sum = guest_result(0);

	guest_end();
	return sum;
}

static void test_move(void **state)
{
	uint64_t expected = run_mover(1000);
	unsigned accesses_made = guest.access_count, exits = 1000 - exits_left;
	uint8_t device[BYTES];

	memcpy(device, guest.bytes, BYTES);
	assert_in_range(exits, 30, 200);
	for (unsigned i = 1; i < exits; i++) {
		assert_int_equal(run_mover(i), expected);
		assert_int_equal(guest.access_count, accesses_made);
		assert_memory_equal(guest.bytes, device, BYTES);
	}
}

/* While a vCPU is elsewhere its page tables change, without an INVLPG that KVM would see. */
GUEST(looks_64, "64",
      "mov $0x400000, %esi; mov (%rsi), %eax; mov %eax, 0x4000; out %al, $0x80;"
      "mov (%rsi), %eax; mov %eax, 0x4008; hlt");

static void test_arrival(void **state)
{
	uint64_t *pd, *pt;

	guest_make(looks_64, looks_64_end);
	guest_long_mode();
	pd = (uint64_t *)(void *)(guest.ram + TABLES + 0x2000);
	pt = (uint64_t *)(void *)(guest.ram + 0xf000);
	pd[2] = 0xf003;
	pt[0] = 0xc003;
	memcpy(guest.ram + 0xc000, "one", 4);
	memcpy(guest.ram + 0xd000, "two", 4);
	guest.vcpu->cpu = hc_sched_cpu(0);
	exits_left = 1;
	assert_true(step());
	assert_string_equal((char *)guest.ram + RESULTS, "one");
	kvm_backend.get_state(guest.vcpu, ~guest.vcpu->valid);
	kvm_backend.put(guest.vcpu);
	pt[0] = 0xd003;
	guest.vcpu->valid = guest.vcpu->dirty = ~UINT32_C(0);
	kvm_backend.load(guest.vcpu);
	exits_left = 1;
	assert_false(step());
	assert_string_equal((char *)guest.ram + RESULTS + 8, "two");
	kvm_backend.put(guest.vcpu);
	guest_end();
}

/* --- What was injected and not delivered --- */

static int inject(enum x86_event_type type, uint8_t vector)
{
	const struct x86_event event = { .valid = 1, .type = (uint8_t)type, .vector = vector };

	return kvm_backend.inject(guest.vcpu, &event);
}

static void test_inject(void **state)
{
	guest_make(looks_64, looks_64_end);
	guest_long_mode();
	guest.st->rflags |= X86_FLAG_IF;
	guest.vcpu->cpu = hc_sched_cpu(0);
	exits_left = 1;
	/* A page fault on the way would be a triple fault. */
	((uint64_t *)(void *)(guest.ram + TABLES + 0x2000))[2] = 0x83;
	assert_true(step());
	hc_vcpu_need(guest.vcpu, X86_G_EVENT);
	assert_false(guest.st->events.reinject.valid);
	assert_int_equal(inject(X86_EVENT_INTR, 0x40), 0);
	hc_vcpu_need(guest.vcpu, X86_G_EVENT);
	assert_int_equal(guest.st->events.reinject.valid, 1);
	assert_int_equal(guest.st->events.reinject.type, X86_EVENT_INTR);
	assert_int_equal(guest.st->events.reinject.vector, 0x40);
	assert_int_equal(inject(X86_EVENT_INTR, 0x41), -EBUSY);
	assert_int_equal(inject(X86_EVENT_EXCEPTION, X86_VEC_UD), -EBUSY);
	/* KVM keeps one NMI for later, and gives it back when the vCPU goes. */
	assert_int_equal(inject(X86_EVENT_NMI, X86_VEC_NMI), 0);
	assert_int_equal(inject(X86_EVENT_NMI, X86_VEC_NMI), -EBUSY);
	assert_false(atomic_load(&x86_vcpu_of(guest.vcpu)->nmi_pending));
	kvm_backend.put(guest.vcpu);
	assert_true(atomic_load(&x86_vcpu_of(guest.vcpu)->nmi_pending));
	hc_vcpu_need(guest.vcpu, X86_G_EVENT);
	assert_int_equal(guest.st->events.reinject.vector, 0x40);
	guest.st->events.reinject.valid = 0;
	guest.st->rflags &= ~(uint64_t)X86_FLAG_IF;
	hc_vcpu_dirty(guest.vcpu, X86_G_CORE | X86_G_EVENT);
	assert_int_equal(inject(X86_EVENT_INTR, 0x41), -EAGAIN);
	guest.st->rflags |= X86_FLAG_IF;
	guest.st->events.interrupt_shadow = 1;
	hc_vcpu_dirty(guest.vcpu, X86_G_EVENT);
	assert_int_equal(inject(X86_EVENT_INTR, 0x41), -EAGAIN);
	guest_end();
}

GUEST(ports_64, "64", "1: out %al, $0x80; nop; jmp 1b");

/* Is the next exit one, or one after which events are looked at? */
static bool next_is_window(void)
{
	struct hc_exit exit;

	atomic_store(&guest.vcpu->requests, 0);
	kvm_backend.run(guest.vcpu, &exit);
	return exit.reason == HC_EXIT_WINDOW || atomic_load(&guest.vcpu->requests) & HC_REQ_EVENT;
}

/* One window for one request: soon, and no other. */
static void test_window(void **state)
{
	guest_make(ports_64, ports_64_end);
	guest_long_mode();
	guest.st->rflags |= X86_FLAG_IF;
	guest.vcpu->cpu = hc_sched_cpu(0);
	for (unsigned i = 0; i < 3; i++) {
		kvm_backend.request_window(guest.vcpu, false);
		assert_true(next_is_window());
		for (unsigned n = 0; n < 4; n++)
			assert_false(next_is_window());
	}
	guest_end();
}

/* --- Kicks --- */

GUEST(forever_64, "64", "1: inc %rax; jmp 1b");

static void on_alarm(int number)
{
	atomic_store(&guest.vcpu->cpu->attention, true);
	if (guest.exit_flag)
		*guest.exit_flag = 1;
}

static void stop_vm(void)
{
	assert_int_equal(hc_vm_stop(guest.vm, HC_STOP_REQUEST, 0), 0);
}

/* Both a signal while the guest runs and one before it does end the loop. */
static void test_kicked(void **state)
{
	const struct itimerval soon = { .it_value.tv_usec = 20000 };
	struct sigaction action = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &action, NULL);
	for (unsigned early = 0; early < 2; early++) {
		guest_make(forever_64, forever_64_end);
		guest_long_mode();
		guest.st->rflags |= X86_FLAG_IF;
		hc_vcpu_dirty(guest.vcpu, X86_G_ALL);
		assert_int_equal(hc_vm_start(guest.vm), 0);
		test_on_irq_window = stop_vm;
		test_on_idle = test_stop_loop;
		/* Starting it was a kick. */
		atomic_store(&guest.vcpu->cpu->attention, early);
		if (!early)
			setitimer(ITIMER_REAL, &soon, NULL);
		test_run_loop();
		assert_int_equal(hc_vm_state(guest.vm), HC_VM_STOPPED);
		assert_int_equal(guest.vcpu->stats.exits[HC_EXIT_INTERRUPT].count, 1);
		assert_null(guest.exit_flag);
		test_on_irq_window = NULL;
		guest_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state),   cmocka_unit_test(test_move),
		cmocka_unit_test(test_arrival), cmocka_unit_test(test_inject),
		cmocka_unit_test(test_window),  cmocka_unit_test(test_kicked),
	};

	return GUEST_TESTS(tests);
}
