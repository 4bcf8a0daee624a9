/* SPDX-License-Identifier: BSD-2-Clause */
/* The AArch64 machine: its Image loader on made-up, damaged and foreign files, the device tree as a
 * guest reads it, and what there is at the addresses that the tree names. */
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/aarch64/gic/gic.h"
#include "core/bus.h"
#include "core/touch.h"
#include "machines/virt.h"
#include "mmu/vmsav8.h"
#include "platform/board/fdt.h"
#include "tests/platform.h"
#include "tests/stub_backend.h"
#include "tests/unit.h"

#define MEMORY    (16 * HC_MIB)
#define KERNEL    0x9000
#define TREE_ROOM 0x10000

/* --- A backend that could run guests --- */

static struct hc_backend_info offer;

static int probe(struct hc_backend_info *info)
{
	*info = offer;
	return 0;
}

static void offer_gic(unsigned version)
{
	test_platform_init(1);
	offer = (struct hc_backend_info){ .reason = "replays nothing",
		                          .gpa_bits = 40,
		                          .gic_version = version,
		                          .gic_list_registers = 4,
		                          .gic_priority_bits = 5,
		                          .gicv = { 0x10046000 } };
}

static void run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	vcpu->valid = A64_G_ALL;
	vcpu->dirty = 0;
	exit->reason = HC_EXIT_HALT;
}

static const struct hc_backend_ops backend = {
	.name = "idle",
	.isa = HC_ISA_AARCH64,
	.s2_format = &vmsav8_format,
	.probe = probe,
	.vcpu_create = stub_vcpu_create,
	.vcpu_destroy = stub_vcpu,
	.run = run,
	.get_state = stub_state,
	.set_state = stub_state,
	STUB_BACKEND,
};

static struct hc_backend_info second_offer;

static int second_probe(struct hc_backend_info *info)
{
	*info = second_offer;
	return 0;
}

static uint64_t mmfr0 = UINT64_C(0x00101125); /* pages of 4, 16 and 64 KiB */

uint64_t a64_host_id(uint32_t number)
{
	switch (number) {
	case A64_SYSREG(3, 0, 0, 0, 0): return 0x413fd0c1; /* MIDR_EL1: Neoverse N1 */
	case A64_SYSREG(3, 0, 0, 7, 0): return mmfr0;
	default: return 0;
	}
}

/* --- A kernel --- */

struct image_header {
	uint32_t code[2];
	uint64_t text_offset, image_size, flags, reserved[3];
	uint32_t magic, pe;
};

static uint8_t image[KERNEL] __attribute__((aligned(8)));

static struct image_header *header(void)
{
	return (void *)image;
}

static void put(unsigned at, uint32_t value)
{
	memcpy(image + at, &value, 4);
}

/* With the header for UEFI that kernels have: one section to the end of the file. */
static void make_image(void)
{
	memset(image, 0xd5, sizeof(image));
	*header() = (struct image_header){ .code = { 0xfa405a4d, 0x14000010 },
		                           .image_size = 0x200000,
		                           .flags = 0xa,
		                           .magic = 0x644d5241,
		                           .pe = 0x40 };
	memset(image + 0x40, 0, 0x100);
	put(0x40, 0x4550);
	put(0x44, 0xaa64 | 1 << 16);
	put(0x54, 0xa0);
	put(0x40 + 24 + 0xa0 + 16, KERNEL - 0x1000);
	put(0x40 + 24 + 0xa0 + 20, 0x1000);
}

static struct machine_config config;
static struct hc_chardev serial[2];
static uint8_t initrd[70000];

static void make_config(void)
{
	make_image();
	for (unsigned i = 0; i < sizeof(initrd); i++)
		initrd[i] = (uint8_t)(i * 7);
	memset(serial, 0, sizeof(serial));
	config = (struct machine_config){ .name = "test",
		                          .cpus = 1,
		                          .memory = MEMORY,
		                          .kernel = image,
		                          .kernel_size = sizeof(image),
		                          .initrd = initrd,
		                          .initrd_size = sizeof(initrd),
		                          .cmdline = "console=ttyAMA0 quiet",
		                          .serial = { &serial[0], &serial[1] },
		                          .exit_at = VIRT_EXIT };
}

/* The errors that guests' owners can make have their words in the log. */
static int try(struct hc_vm **vm)
{
	offer_gic(3);
	return virt_create(vm, &backend, &config);
}

static struct hc_vm *make(void)
{
	struct hc_vm *vm;

	if (virt_create(&vm, &backend, &config))
		fail_msg("%s", test_log());
	return vm;
}

static void destroy(struct hc_vm *vm)
{
	assert_int_equal(hc_vm_destroy(vm), 0);
	assert_int_equal(test_allocated, 0);
}

/* --- Loading --- */

static uint8_t tree[TREE_ROOM] __attribute__((aligned(8)));

static uint64_t read_tree(struct hc_vm *vm)
{
	uint64_t at = a64_state_of(vm->vcpus[0])->x[0];

	assert_int_equal(hc_mem_read(vm, gpa_of(at), tree, sizeof(tree)), 0);
	assert_int_equal(fdt_check_full(tree, sizeof(tree)), 0);
	return at;
}

static uint64_t chosen_64(const char *name)
{
	int len;
	const void *p = fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), name, &len);

	assert_non_null(p);
	assert_int_equal(len, 8);
	return fdt64_ld(p);
}

static void test_loads(void **state)
{
	static uint8_t copy[sizeof(initrd)];

	make_config();
	offer_gic(3);
	struct hc_vm *vm = make();
	const struct a64_state *s = a64_state_of(vm->vcpus[0]);

	assert_int_equal(s->pc, VIRT_RAM);
	assert_int_equal(s->pstate, A64_PSTATE_EL1H | A64_PSTATE_DAIF);
	assert_int_equal(s->sys[A64_SCTLR_EL1] & 0x1005, 0); /* MMU and caches off */
	assert_int_equal(s->x[1] | s->x[2] | s->x[3], 0);
	assert_int_equal(hc_mem_read(vm, gpa_of(s->pc), copy, KERNEL), 0);
	assert_memory_equal(copy, image, KERNEL);
	uint64_t at = read_tree(vm), from = chosen_64("linux,initrd-start"),
		 to = chosen_64("linux,initrd-end");

	assert_int_equal(at % HC_MIB, 0);
	assert_true(at >= VIRT_RAM + header()->image_size);
	assert_true(from >= at + fdt_totalsize(tree));
	assert_int_equal(to - from, sizeof(initrd));
	assert_int_equal(hc_mem_read(vm, gpa_of(from), copy, sizeof(copy)), 0);
	assert_memory_equal(copy, initrd, sizeof(initrd));
	destroy(vm);
}

static void test_text_offset(void **state)
{
	struct hc_vm *vm;

	make_config();
	config.memory = 2 * MEMORY;
	header()->text_offset = 0x83000;
	assert_int_equal(try(&vm), 0);
	assert_int_equal(a64_state_of(vm->vcpus[0])->pc, VIRT_RAM + 0x83000);
	assert_int_equal(read_tree(vm), VIRT_RAM + 4 * HC_MIB);
	destroy(vm);
	/* Before 3.17: no size, and the offset is not to be relied on. */
	memset(image + 0x40, 0, 0x100);
	*header() = (struct image_header){ .code = { 0x91005a4d, 0x14000010 },
		                           .text_offset = 0x800000000,
		                           .magic = 0x644d5241 };
	assert_int_equal(try(&vm), 0);
	assert_int_equal(a64_state_of(vm->vcpus[0])->pc, VIRT_RAM + 0x80000);
	assert_true(read_tree(vm) >= VIRT_RAM + 0x80000 + KERNEL + 8 * HC_MIB);
	destroy(vm);
	/* Code that is not for UEFI as well. */
	header()->code[0] = 0x14000010;
	header()->pe = 0xffffffff;
	assert_int_equal(try(&vm), 0);
	destroy(vm);
}

/* A program without a header is where it was linked to be, the tree far behind it. */
static void test_program(void **state)
{
	static const uint32_t code[] = { 0xd2800000, 0x14000000 }; /* mov x0, #0; b . */
	static uint8_t ram[sizeof(image)];

	make_config();
	memset(image, 0xab, sizeof(image));
	memcpy(image, code, sizeof(code));
	config.kernel_size = 0x1234;
	config.cmdline = "  verbatim   ";
	assert_true(a64_is_program(image, config.kernel_size));
	struct hc_vm *vm = make();
	const struct a64_state *s = a64_state_of(vm->vcpus[0]);

	assert_int_equal(s->pc, VIRT_RAM + 0x80000);
	assert_int_equal(s->pstate & 0xf, 5); /* EL1h */
	assert_int_equal(read_tree(vm), VIRT_RAM + MEMORY / 2);
	assert_string_equal(fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), "bootargs", NULL),
	                    "  verbatim   ");
	assert_int_equal(hc_mem_read(vm, gpa_of(s->pc), ram, 0x1234), 0);
	assert_memory_equal(ram, image, 0x1234);
	destroy(vm);
	/* Not what cannot be an instruction, nor what has a known beginning. */
	put(0, 0);
	assert_false(a64_is_program(image, 0x1234));
	put(0, 0x464c457f); /* ELF */
	assert_false(a64_is_program(image, 0x1234));
	assert_false(a64_is_program(code, 3));
}

/* --- Refusals: the error, and a word that the message must have --- */

static void foreign(const char *magic, size_t len)
{
	memset(image, 0x90, sizeof(image));
	memcpy(image, magic, len);
}

static void nothing(void)
{
}
static void gzip(void)
{
	foreign("\x1f\x8b", 2);
}
static void elf(void)
{
	foreign("\177ELF", 4);
}
static void zboot(void)
{
	foreign("MZ\0\0zimg", 8);
}
static void bzimage(void)
{
	foreign("MZ", 2);
	put(0x202, 0x53726448); /* "HdrS" */
}
static void zeros(void)
{
	memset(image, 0, sizeof(image));
}
static void big_endian(void)
{
	header()->flags |= 1;
}
static void no_16k(void)
{
	header()->flags = 4;
	mmfr0 &= ~UINT64_C(0xf00000);
}
static void no_64k(void)
{
	header()->flags = 6;
	mmfr0 |= UINT64_C(0xf000000);
}
static void huge(void)
{
	header()->image_size = HC_BIT(40);
}
static void wraps(void)
{
	header()->image_size = UINT64_MAX - 7;
	header()->text_offset = 0x1000;
}
static void far_away(void)
{
	header()->text_offset = HC_BIT(63);
}
static void odd(void)
{
	header()->text_offset = 0x80001;
}
static void longer(void)
{
	put(0x40 + 24 + 0xa0 + 16, KERNEL - 0x1000 + 1);
}
static void many_sections(void)
{
	put(0x44, 0xaa64 | 0xffffu << 16);
}
static void pe_outside(void)
{
	header()->pe = 0xfffffff0;
}
static void all_memory(void)
{
	header()->image_size = MEMORY;
}
static void long_cmdline(void)
{
	static char line[2049];

	memset(line, 'x', 2048);
	config.cmdline = line;
}
static void odd_memory(void)
{
	config.memory = MEMORY + HC_MIB;
}
static void no_memory(void)
{
	config.memory = 0;
}
static void tiny_memory(void)
{
	config.memory = 2 * HC_MIB;
}
static void big_initrd(void)
{
	config.initrd_size = UINT64_MAX - 1;
}
static void many_cpus(void)
{
	config.cpus = A64_MAX_VCPUS + 1;
}
static void exit_in_uart(void)
{
	config.exit_at = VIRT_UART + 4;
}

static void pc_devices(void)
{
	config.devices = (struct machine_devices){ 0xf4, 4, true };
}

static const struct refusal {
	int error;
	const char *word;
	void (*damage)(void);
	uint64_t size; /* of the kernel; 0: the whole */
} refusals[] = {
	{ -ENOEXEC, "a gzip file; wants an uncompressed", gzip, 0 },
	{ -ENOEXEC, "ELF", elf, 0 },
	{ -ENOEXEC, "vmlinuz.efi", zboot, 0 },
	{ -ENOEXEC, "x86", bzimage, 0 },
	{ -ENOEXEC, "zeros", zeros, 0 },
	{ -ENOEXEC, "kernel for arm64", nothing, 63 },
	{ -ENOEXEC, "executable", nothing, 2 },
	{ -ENOEXEC, "big-endian", big_endian, 0 },
	{ -ENOEXEC, "16 KiB", no_16k, 0 },
	{ -ENOEXEC, "64 KiB", no_64k, 0 },
	{ -EPROTO, "truncated", nothing, 64 },
	{ -EPROTO, "truncated", nothing, 0x140 },
	{ -EPROTO, "truncated: 36863 bytes of 36864", nothing, KERNEL - 1 },
	{ -EPROTO, "truncated", longer, 0 },
	{ -EPROTO, "truncated", many_sections, 0 },
	{ -EPROTO, "truncated", pe_outside, 0 },
	{ -EPROTO, "wants to be at", wraps, 0 },
	{ -EPROTO, "wants to be at", odd, 0 },
	{ -ENOMEM, "it has 16", huge, 0 },
	{ -ENOMEM, "it has 16", far_away, 0 },
	{ -ENOMEM, "need 18 MiB", all_memory, 0 },
	{ -ENOMEM, "need 4 MiB of memory; it has 2", tiny_memory, 0 },
	{ -ENOMEM, "initrd", big_initrd, 0 },
	{ -E2BIG, "2047", long_cmdline, 0 },
	{ -EINVAL, "2 MiB", odd_memory, 0 },
	{ -EINVAL, "2 MiB", no_memory, 0 },
	{ -ERANGE, "32", many_cpus, 0 },
	{ -EEXIST, "exit", exit_in_uart, 0 },
	{ -EINVAL, "testdev is a device of PCs", pc_devices, 0 },
};

static void test_refusals(void **state)
{
	const uint64_t whole = mmfr0;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(refusals); i++) {
		const struct refusal *r = &refusals[i];
		struct hc_vm *vm;

		make_config();
		r->damage();
		if (r->size)
			config.kernel_size = r->size;
		int rc = try(&vm);

		if (rc != r->error || !strstr(test_log(), r->word))
			fail_msg("refusal %u (%s): %d, \"%s\"", i, r->word, rc, test_log());
		assert_int_equal(test_allocated, 0);
		mmfr0 = whole;
	}
	make_config();
	config.kernel_size = 0;
	struct hc_vm *vm;

	assert_int_equal(try(&vm), -ENOEXEC);
	assert_non_null(strstr(test_log(), "empty"));
}

/* Just enough memory, and a byte too little. */
static void test_limits(void **state)
{
	struct hc_vm *vm;
	uint64_t most = MEMORY - 2 * HC_MIB - TREE_ROOM;
	void *big = calloc(1, most + 1);

	make_config();
	config.initrd = big;
	config.initrd_size = most;
	assert_int_equal(try(&vm), 0);
	destroy(vm);
	config.initrd_size = most + 1;
	assert_int_equal(try(&vm), -ENOMEM);
	assert_non_null(strstr(test_log(), "need 18 MiB of memory; it has 16"));
	free(big);
	/* The longest command line. */
	char line[2048];

	memset(line, 'x', 2047);
	line[2047] = 0;
	make_config();
	config.cmdline = line;
	config.initrd = NULL;
	assert_int_equal(try(&vm), 0);
	read_tree(vm);
	assert_null(
		fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), "linux,initrd-start", NULL));
	destroy(vm);
}

static unsigned tables_reach; /* 2^this */

/* What is not refused next is taken: not here, but for the smallest. */
static int note_reach(struct hc_vm *vm)
{
	tables_reach = vm->s2.ipa_bits;
	return config.memory > MEMORY && config.memory < HC_BIT(40) ? -EBUSY : 0;
}

/* Stage 2 reaches as far as there is memory, which up to 34 bits takes two levels of tables. The
 * guest's addresses are as wide as ever. */
static void test_tables_reach(void **state)
{
	static const struct {
		uint64_t memory;
		unsigned bits;
	} cases[] = { { MEMORY, 32 },
		      { 3 * HC_GIB, 32 },
		      { 3 * HC_GIB + 2 * HC_MIB, 33 },
		      { 15 * HC_GIB, 34 },
		      { 15 * HC_GIB + 2 * HC_MIB, 35 },
		      { HC_BIT(40) - HC_GIB, 40 },
		      { HC_BIT(40), 40 },
		      { HC_BIT(63), 40 },
		      { HC_ALIGN_DOWN(UINT64_MAX, 2 * HC_MIB), 40 } };
	struct hc_backend_ops noting = backend;
	struct hc_vm *vm;

	offer_gic(3);
	noting.vm_create = note_reach;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(cases); i++) {
		make_config();
		config.memory = cases[i].memory;
		int rc = virt_create(&vm, &noting, &config);

		assert_int_equal(tables_reach, cases[i].bits);
		assert_int_equal(rc == -EINVAL, cases[i].memory >= HC_BIT(40));
		assert_int_equal(rc == 0, cases[i].memory == MEMORY);
		if (rc)
			continue;
		assert_int_equal(vm->info.gpa_bits, 40);
		assert_int_equal(vm->s2.root_level, 1);
		assert_int_equal(a64_vm_of(vm)->id[A64_ID_AA64MMFR0] & 15, 2);
		destroy(vm);
	}
}

static unsigned level_of_ram(struct hc_vm *vm)
{
	struct s2_mapping leaf;

	assert_int_equal(hc_mem_walk(vm, gpa_of(VIRT_RAM), &leaf), 0);
	return leaf.level;
}

static void test_small_pages(void **state)
{
	struct hc_vm *vm;

	make_config();
	for (unsigned i = 0; i < 2; i++) {
		config.small_pages = i;
		vm = make();
		assert_int_equal(level_of_ram(vm), i ? 0 : 1);
		destroy(vm);
	}
}

static int make_no_tree(void *arg, gpa_t at, uint64_t size, void *buf, size_t room)
{
	return 0;
}

/* Random bytes of the header changed and the file cut anywhere: it loads or it is refused, with a
 * message, and the boot CPU never starts outside RAM. */
static void test_mutations(void **state)
{
	uint64_t seed = 4711;
	unsigned loaded = 0, rounds = test_rounds(4000);
	struct a64_boot boot = { .ram = { VIRT_RAM },
		                 .ram_size = MEMORY,
		                 .make_tree = make_no_tree };

	make_config();
	offer_gic(3);
	struct hc_vm *vm = make();

	for (unsigned n = 0; n < rounds; n++) {
		make_image();
		for (uint64_t i = 0; i <= test_below(&seed, 4); i++)
			image[test_below(&seed, 0x120)] = (uint8_t)test_random(&seed);
		boot.kernel_size = test_below(&seed, 4) ? KERNEL : test_below(&seed, KERNEL);
		/* A copy of exactly that size, so that a sanitizer sees reads beyond it. */
		void *file = malloc(boot.kernel_size ? boot.kernel_size : 1);

		memcpy(file, image, boot.kernel_size);
		boot.kernel = file;
		int rc = a64_load_linux(vm, &boot);

		free(file);
		assert_true(!rc || rc == -ENOEXEC || rc == -EPROTO || rc == -ENOMEM);
		if (!rc)
			assert_non_null(
				hc_mem_ptr(vm, gpa_of(a64_state_of(vm->vcpus[0])->pc), 4, true));
		loaded += !rc;
	}
	assert_in_range(loaded, rounds / 10, rounds * 9 / 10);
	assert_true(test_log()[0]);
	destroy(vm);
}

/* Whichever allocation fails, nothing stays behind. */
static void test_out_of_memory(void **state)
{
	struct hc_vm *vm;
	int rc = -ENOMEM;

	make_config();
	for (unsigned n = 1; rc; n++) {
		offer_gic(3);
		test_fail_alloc = n;
		rc = virt_create(&vm, &backend, &config);
		test_fail_alloc = 0;
		if (rc) {
			assert_int_equal(test_allocated, 0);
			assert_true(test_log()[0]);
		}
		assert_in_range(n, 1, 1000);
	}
	destroy(vm);
}

/* --- The device tree --- */

/* dtc's checks find nothing. Without dtc they are not made. */
static void check_with_dtc(void)
{
	char dir[] = "/tmp/test_virt.XXXXXX", dtb[48], command[200];

	if (system("command -v dtc >/dev/null"))
		return;
	assert_non_null(mkdtemp(dir));
	snprintf(dtb, sizeof(dtb), "%s/dtb", dir);
	FILE *f = fopen(dtb, "wb");

	assert_int_equal(fwrite(tree, fdt_totalsize(tree), 1, f), 1);
	fclose(f);
	/* grep fails: there is no output. */
	snprintf(command, sizeof(command),
	         "! timeout 10 dtc -I dtb -O dts -o /dev/null %s 2>&1 | grep . >&2", dtb);
	int rc = system(command);

	unlink(dtb);
	rmdir(dir);
	assert_int_equal(rc, 0);
}

static uint32_t cell(const char *path, const char *name, int at)
{
	int len;
	const fdt32_t *p = fdt_getprop(tree, fdt_path_offset(tree, path), name, &len);

	assert_true(p && len >= 4 * (at + 1));
	return fdt32_ld(p + at);
}

static bool has_stdout(void)
{
	int len;
	const char *path = fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), "stdout-path", &len);

	return path && fdt_path_offset(tree, path) >= 0;
}

static void check_machine(const struct board_tree *b, unsigned version)
{
	assert_string_equal(b->model, "Hypercore virt");
	assert_string_equal(b->bootargs, config.cmdline);
	assert_int_equal(b->memory.count, 1);
	assert_int_equal(b->memory.r[0].base, VIRT_RAM);
	assert_int_equal(b->memory.r[0].end, VIRT_RAM + config.memory);
	assert_int_equal(b->cpu_count, config.cpus);
	for (unsigned i = 0; i < config.cpus; i++)
		assert_int_equal(b->cpus[i].method, BOARD_CPU_PSCI);
	assert_int_equal(b->psci, BOARD_PSCI_HVC);
	assert_int_equal(b->gic.version, version);
	assert_int_equal(b->gic.dist, VIRT_GICD);
	assert_int_equal(b->timer_virt.intid, A64_PPI_VTIMER);
	assert_int_equal(cell("/timer", "interrupts", 4), A64_PPI_PTIMER - 16); /* the second's */
	assert_int_equal(b->pl031, VIRT_PL031);
	assert_int_equal(b->uart_count, !!config.serial[0] + !!config.serial[1]);
	assert_int_equal(has_stdout(), b->uart_count > 0);
	if (config.serial[0]) {
		assert_int_equal(b->uarts[0].base, VIRT_PL011);
		assert_int_equal(b->uarts[0].irq.intid, 32 + VIRT_PL011_SPI);
	} else if (config.serial[1]) {
		assert_int_equal(b->uarts[0].base, VIRT_UART);
		assert_int_equal(b->uarts[0].irq.intid, 32 + VIRT_UART_SPI);
		assert_int_equal(b->uarts[0].io_width, 1);
	}
}

/* Read by the reader that the board has for its own. */
static void test_tree(void **state)
{
	static struct board_tree b;

	for (unsigned n = 0; n < 16; n++) {
		unsigned version = n & 1 ? 3 : 2;

		make_config();
		offer_gic(version);
		config.cpus = n & 2 ? (version == 3 ? A64_MAX_VCPUS : 8) : 1;
		if (n & 4)
			config.serial[0] = NULL;
		if (n & 8)
			config.serial[1] = NULL;
		struct hc_vm *vm = make();

		read_tree(vm);
		assert_int_equal(board_tree_read(&b, tree, sizeof(tree), NULL), 0);
		check_machine(&b, version);
		for (unsigned i = 0; i < config.cpus; i++)
			assert_int_equal(b.cpus[i].mpidr,
			                 a64_state_of(vm->vcpus[i])->mpidr & 0xff00ffffff);
		if (version == 3) {
			assert_int_equal(b.gic.redists[0].base, VIRT_GICR);
			assert_int_equal(b.gic.redists[0].size, config.cpus * UINT64_C(0x20000));
		} else {
			assert_int_equal(b.gic.cpu, VIRT_GICC);
			assert_int_equal(b.gic.cpu_size, 0x2000);
		}
		check_with_dtc();
		destroy(vm);
	}
}

/* --- The devices --- */

static uint8_t sent[64];
static unsigned sent_len;

static void record(struct hc_chardev *chr, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len && sent_len < sizeof(sent); i++)
		sent[sent_len++] = data[i];
}

static uint64_t load_at(struct hc_vm *vm, uint64_t at, unsigned size)
{
	uint64_t v;

	assert_int_equal(hc_bus_read(vm, HC_SPACE_MEMORY, at, size, &v), 0);
	return v;
}

static void store_at(struct hc_vm *vm, uint64_t at, unsigned size, uint64_t value)
{
	assert_int_equal(hc_bus_write(vm, HC_SPACE_MEMORY, at, size, value), 0);
}

static void test_devices(void **state)
{
	make_config();
	offer_gic(3);
	serial[0].write = serial[1].write = record;
	struct hc_vm *vm = make();

	sent_len = 0;
	store_at(vm, VIRT_PL011 + 0x2c, 4, 0x60); /* UARTLCR_H, LCR: words of 8 bits */
	store_at(vm, VIRT_UART + 3, 1, 3);
	store_at(vm, VIRT_PL011, 4, 'a');
	store_at(vm, VIRT_UART, 1, 'b');
	assert_int_equal(sent_len, 2);
	assert_memory_equal(sent, "ab", 2);
	assert_int_equal(load_at(vm, VIRT_PL011 + 0xfe0, 4), 0x11);
	assert_int_equal(load_at(vm, VIRT_PL031 + 0xfe0, 4), 0x31);
	assert_int_equal(load_at(vm, VIRT_UART + 5, 1) & 0x60, 0x60);
	assert_int_equal(load_at(vm, VIRT_GICD + 0xffe8, 4) >> 4 & 0xf, 3); /* PIDR2: v3 */
	assert_int_equal(load_at(vm, VIRT_GICR + 0xffe8, 4) >> 4 & 0xf, 3);
	assert_int_equal(hc_vm_start(vm), 0);
	store_at(vm, VIRT_EXIT, 1, 42);
	test_run_until_idle();
	assert_int_equal(hc_vm_cause(vm), HC_STOP_EXIT);
	assert_int_equal(hc_vm_status(vm), 42);
	destroy(vm);
}

/* The virtual CPU interface of a GICv2 is the hardware's, mapped. */
static void test_gicv2(void **state)
{
	struct hc_vm *vm;
	uint64_t v;

	make_config();
	offer_gic(2);
	vm = make();
	for (uint64_t at = 0; at < 0x2000; at += HC_PAGE_SIZE) {
		struct s2_mapping leaf;

		assert_int_equal(s2_walk(&vm->s2, gpa_of(VIRT_GICC + at), &leaf), 0);
		assert_int_equal(leaf.hpa.v, offer.gicv.v + at);
	}
	assert_int_equal(hc_bus_read(vm, HC_SPACE_MEMORY, VIRT_GICR, 4, &v), -ENOENT);
	destroy(vm);
}

/* A backend without one: guests poll. */
/* Without a virtual CPU interface there is one in software at the same place. */
static void test_gicv2_without_gicv(void **state)
{
	struct hc_vm *vm;
	struct s2_mapping leaf;
	uint64_t v;

	make_config();
	offer_gic(2);
	offer.gicv.v = 0;
	vm = make();
	assert_int_not_equal(s2_walk(&vm->s2, gpa_of(VIRT_GICC), &leaf), 0);
	assert_int_equal(hc_bus_read(vm, HC_SPACE_MEMORY, VIRT_GICC + 0x1000, 4, &v), 0);
	assert_int_equal(gic_outputs(vm->vcpus[0]), 0);
	destroy(vm);
}

static void test_no_gic(void **state)
{
	struct hc_vm *vm;
	uint64_t v;

	make_config();
	offer_gic(0);
	vm = make();
	read_tree(vm);
	assert_true(fdt_path_offset(tree, "/timer") < 0);
	assert_true(fdt_path_offset(tree, "/serial@9000000") > 0);
	check_with_dtc();
	assert_int_equal(hc_bus_read(vm, HC_SPACE_MEMORY, VIRT_GICD, 4, &v), -ENOENT);
	destroy(vm);
}

/* With two backends: what both have. */
static void test_two_backends(void **state)
{
	struct hc_backend_ops second = backend;
	struct hc_vm *vm;

	make_config();
	offer_gic(3);
	second.name = "second";
	second.probe = second_probe;
	second_offer = offer;
	second_offer.gic_version = 2;
	config.other = &second;
	assert_int_equal(virt_create(&vm, &backend, &config), -EOPNOTSUPP);
	assert_non_null(strstr(test_log(), "GICv2"));
	second_offer = offer;
	offer.gic_list_registers = 7;
	second_offer.gic_priority_bits = 6;
	second_offer.gpa_bits = 36;
	config.switch_ns = 1000;
	vm = make();
	assert_int_equal(vm->switch_ns, 1000);
	assert_int_equal(vm->info.gic_version, 3);
	assert_int_equal(vm->info.gic_list_registers, 4);
	assert_int_equal(vm->info.gic_priority_bits, 5);
	assert_int_equal(vm->info.gpa_bits, 36);
	destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loads),
		cmocka_unit_test(test_text_offset),
		cmocka_unit_test(test_program),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_tables_reach),
		cmocka_unit_test(test_small_pages),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_gicv2),
		cmocka_unit_test(test_gicv2_without_gicv),
		cmocka_unit_test(test_no_gic),
		cmocka_unit_test(test_two_backends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
