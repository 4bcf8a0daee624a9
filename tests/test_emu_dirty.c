/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log under the software CPU: guest code that writes in all the ways that the engine has
 * for it, against what has become of the memory. Every write changes what it writes to, so that the
 * pages that differ from a copy made at the last collection are exactly the ones that were written.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/emu_rig.h"
#include "tests/unit.h"

#define PAGES (RIG_RAM / HC_PAGE_SIZE)
#define CPUS  2

static struct emu_rig r;
static uint8_t *copy;
static uint64_t seed;
static bool reported[PAGES];

static uint64_t below(uint64_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (seed >> 33) % n;
}

/* Each ends in HLT; RDI is where, RCX how much. */
static const struct {
	const char *name;
	uint8_t code[16];
} writers[] = {
	{ "INC byte", { 0xfe, 0x07, 0xf4 } },
	{ "INC qword", { 0x48, 0xff, 0x07, 0xf4 } },
	{ "LOCK INC dword", { 0xf0, 0xff, 0x07, 0xf4 } },
	{ "NOT, of which the second finds the page writable", { 0xf7, 0x17, 0xfe, 0x07, 0xf4 } },
	{ "XCHG", { 0x48, 0x87, 0x07, 0xf4 } }, /* RAX is new each time */
	{ "REP STOSQ", { 0xf3, 0x48, 0xab, 0xf4 } },
	{ "REP STOSB", { 0xf3, 0xaa, 0xf4 } },
	{ "PUSH", { 0x48, 0x89, 0xfc, 0x50, 0xf4 } }, /* MOV RSP, RDI */
	{ "MOVQ [RDI], XMM0", { 0x66, 0x48, 0x0f, 0x6e, 0xc0, 0x66, 0x0f, 0xd6, 0x07, 0xf4 } },
	{ "MOV from another page", { 0x48, 0x89, 0x07, 0x48, 0x8b, 0x1f, 0xf4 } },
};

/* Away from code, tables and their entries; at any alignment, so that some cross into a page. */
static uint64_t somewhere(void)
{
	return 0x200000 + below(below(2) ? 0x800000 : 0x8000);
}

static void guest_writes(unsigned cpu)
{
	struct x86_state *s = x86_state_of(r.vm->vcpus[cpu]);
	unsigned which = (unsigned)below(HC_ARRAY_SIZE(writers));

	emu_rig_reset(&r, cpu);
	s->rip = RIG_CODE + which * sizeof(writers[0].code);
	s->gpr[X86_RDI] = somewhere();
	s->gpr[X86_RAX] = seed | 0x0101010101010101;
	s->gpr[X86_RCX] = 1 + below(1000);
	assert_int_equal(emu_rig_run_cpu(&r, cpu), HC_EXIT_HALT);
}

static void device_writes(void)
{
	uint64_t value = seed ^ 0xabcdef;

	assert_int_equal(hc_mem_write(r.vm, gpa_of(somewhere()), &value, sizeof(value)), 0);
}

/* The walker is to set flags in the tables again. */
static void clear_flags(void)
{
	uint64_t entry = emu_rig_get(&r, RIG_TABLES + HC_PAGE_SIZE, 8);

	emu_rig_put(&r, RIG_TABLES + HC_PAGE_SIZE, entry & ~UINT64_C(0x60), 8);
	for (unsigned i = 0; i < 8; i++) {
		uint64_t at = RIG_TABLES + 2 * HC_PAGE_SIZE + 8 * i;

		emu_rig_put(&r, at, emu_rig_get(&r, at, 8) & ~UINT64_C(0x60), 8);
	}
	memcpy(copy + RIG_TABLES, r.ram + RIG_TABLES, 8 * HC_PAGE_SIZE);
}

static void report(void *arg, gpa_t gpa, const uint64_t *bitmap, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		reported[gpa.v / HC_PAGE_SIZE + i] = bitmap[i / 64] >> i % 64 & 1;
}

static unsigned compare(void)
{
	unsigned count = 0;

	memset(reported, 0, sizeof(reported));
	assert_true(hc_vm_dirty_collect(r.vm, report, NULL) >= 0);
	for (unsigned i = 0; i < PAGES; i++) {
		size_t at = i * HC_PAGE_SIZE;
		bool written = memcmp(copy + at, r.ram + at, HC_PAGE_SIZE) != 0;

		if (written != reported[i])
			fail_msg("page %u was%s written", i, written ? "" : " not");
		count += written;
	}
	memcpy(copy, r.ram, RIG_RAM);
	return count;
}

static void all_writes_are_seen(void **state)
{
	unsigned pages = 0;

	seed = 7;
	emu_rig_start(&r, RIG_LONG, CPUS);
	copy = malloc(RIG_RAM);
	assert_non_null(copy);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(writers); i++)
		emu_rig_poke(&r, RIG_CODE + i * sizeof(writers[0].code), writers[i].code,
		             sizeof(writers[0].code));
	for (unsigned i = 0; i < 20; i++) /* fast entries for writes, which have to go */
		guest_writes(i % CPUS);
	assert_int_equal(hc_vm_dirty_start(r.vm), 0);
	memcpy(copy, r.ram, RIG_RAM);
	for (unsigned round = 0; round < 60; round++) {
		if (below(3) == 0)
			clear_flags();
		for (unsigned n = (unsigned)below(40); n; n--)
			if (below(5))
				guest_writes((unsigned)below(CPUS));
			else
				device_writes();
		pages += compare();
	}
	assert_true(pages > 500);
	assert_int_equal(compare(), 0);
	hc_vm_dirty_stop(r.vm);
	guest_writes(0);
	emu_rig_stop(&r);
	free(copy);
}

static void see(void *arg, gpa_t gpa, const uint64_t *bitmap, uint64_t pages)
{
	bool *found = arg;

	for (uint64_t n = 0; n < pages; n++)
		found[gpa.v / HC_PAGE_SIZE + n] = bitmap[n / 64] >> n % 64 & 1;
}

/* Of two pages that nobody touched before the log, one is read and one is written. */
static void first_touch_is_seen(void **state)
{
	static bool found[PAGES];

	emu_rig_start(&r, RIG_LONG, 1);
	/* mov al, [rbx]; mov [rbx+4096], al; hlt */
	emu_rig_code(&r, 0x8a, 0x03, 0x88, 0x83, 0, 0x10, 0, 0, 0xf4);
	assert_int_equal(hc_vm_dirty_start(r.vm), 0);
	r.s->gpr[X86_RBX] = RIG_RAM - 2 * HC_PAGE_SIZE;
	assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
	assert_true(hc_vm_dirty_collect(r.vm, see, found) > 0);
	assert_false(found[PAGES - 2]);
	assert_true(found[PAGES - 1]);
	hc_vm_dirty_stop(r.vm);
	emu_rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(all_writes_are_seen),
		                            cmocka_unit_test(first_touch_is_seen) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
