/* SPDX-License-Identifier: BSD-2-Clause */
/* The bzImage loader on made-up, damaged and foreign files, and the ACPI tables as a guest reads
 * them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/linux.h"
#include "arch/x86_64/x86.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_env.h"

#define MEMORY (64 * HC_MIB)
#define SETUP  (5 * 512)
#define CODE   0x8000

/* --- A kernel --- */

static uint8_t image[SETUP + CODE];

static struct linux_setup_header *header(void)
{
	return (void *)(image + LINUX_HEADER);
}

static void make_image(void)
{
	struct linux_setup_header *h = header();

	memset(image, 0x90, sizeof(image));
	memset(h, 0, 0x280 - LINUX_HEADER);
	h->setup_sects = SETUP / 512 - 1;
	h->syssize = CODE / 16;
	h->boot_flag = 0xaa55;
	h->jump = 0x6aeb;
	memcpy(&h->header, "HdrS", 4);
	h->version = 0x20f;
	h->loadflags = LINUX_LOADED_HIGH;
	h->xloadflags = LINUX_XLF_KERNEL_64;
	h->initrd_addr_max = 0x7fffffff;
	h->kernel_alignment = 0x200000;
	h->relocatable_kernel = 1;
	h->cmdline_size = 2047;
	h->pref_address = 0x1000000;
	h->init_size = 0x100000;
}

static int load(struct hc_vm *vm, uint64_t size, const void *initrd, uint64_t initrd_size,
                const char *cmdline)
{
	return x86_load_linux(vm, image, size, initrd, initrd_size, cmdline);
}

/* --- Loading --- */

/* The platform gives memory in pieces, so that it is not in one piece here either. */
static const uint8_t *memory_of(struct hc_vm *vm)
{
	static uint8_t copy[MEMORY];

	assert_int_equal(hc_mem_read(vm, gpa_of(0), copy, MEMORY), 0);
	return copy;
}

static void test_loads(void **state)
{
	struct hc_vm *vm = script_vm(2, MEMORY);
	static uint8_t initrd[5000];
	struct linux_boot_params bp;
	const uint8_t *ram;

	make_image();
	for (unsigned i = 0; i < sizeof(initrd); i++)
		initrd[i] = (uint8_t)(i * 7);
	assert_int_equal(x86_acpi_build(vm), 0);
	assert_int_equal(load(vm, sizeof(image), initrd, sizeof(initrd), "console=ttyS0 quiet"), 0);
	const struct x86_state *s = x86_state_of(vm->vcpus[0]);

	ram = memory_of(vm);
	assert_int_equal(s->rip, 0x1000200);
	assert_memory_equal(ram + 0x1000000, image + SETUP, CODE);
	memcpy(&bp, ram + s->gpr[X86_RSI], sizeof(bp));
	assert_int_equal(bp.hdr.type_of_loader, 0xff);
	assert_int_equal(bp.acpi_rsdp_addr, 0xe0000);
	assert_string_equal((const char *)ram + bp.hdr.cmd_line_ptr, "console=ttyS0 quiet");
	assert_int_equal(bp.hdr.ramdisk_size, sizeof(initrd));
	assert_true(bp.hdr.ramdisk_image >= 0x1100000);
	assert_memory_equal(ram + bp.hdr.ramdisk_image, initrd, sizeof(initrd));
	/* All structures are in memory that the map gives the kernel, or reserves. */
	uint64_t end = 0;

	for (unsigned i = 0; i < bp.e820_entries; i++) {
		assert_true(bp.e820[i].base >= end);
		end = bp.e820[i].base + bp.e820[i].size;
	}
	assert_int_equal(end, MEMORY);
	hc_vm_destroy(vm);
}

/* The page tables and segments that the kernel starts with, through the walker. */
static void test_entry_state(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct x86_fault fault;
	gpa_t gpa;

	make_image();
	assert_int_equal(load(vm, sizeof(image), NULL, 0, ""), 0);
	assert_int_equal(x86_code_bits(vcpu), 64);
	for (uint64_t a = 0; a < UINT64_C(1) << 32; a += 0x1fffff) {
		assert_int_equal(
			x86_translate(vcpu, gva_of(a), HC_ACCESS_WRITE, false, &gpa, &fault), 0);
		assert_int_equal(gpa.v, a);
	}
	assert_int_equal(
		x86_translate(vcpu, gva_of(UINT64_C(1) << 32), HC_ACCESS_READ, false, &gpa, &fault),
		-EFAULT);
	assert_int_equal(x86_insn_length(vcpu), 1); /* NOP */
	const struct x86_state *s = x86_state_of(vcpu);

	assert_int_equal(s->seg[X86_CS].selector, 0x10);
	assert_int_equal(s->seg[X86_SS].selector, 0x18);
	assert_int_equal(s->rflags & X86_FLAG_IF, 0);
	/* The descriptors in the GDT say the same as the hidden parts. */
	uint64_t d;

	assert_int_equal(hc_mem_read(vm, gpa_of(s->gdtr.base + 0x10), &d, 8), 0);
	assert_int_equal((d >> 40 & 0xff) | (d >> 44 & 0xf00), s->seg[X86_CS].attr);
	assert_int_equal(hc_mem_read(vm, gpa_of(s->gdtr.base + 0x18), &d, 8), 0);
	assert_int_equal((d >> 40 & 0xff) | (d >> 44 & 0xf00), s->seg[X86_SS].attr);
	hc_vm_destroy(vm);
}

/* Kernels take all CPUs' TSCs for one clock, however long loading them took. */
static void test_one_clock(void **state)
{
	struct hc_vm *vm = script_vm(3, MEMORY);

	make_image();
	test_now_ns += 1000000000;
	assert_int_equal(load(vm, sizeof(image), NULL, 0, ""), 0);
	test_now_ns += 1000000000;
	x86_vcpu_reset(vm->vcpus[2], false);
	for (unsigned i = 1; i < 3; i++)
		assert_int_equal(x86_state_of(vm->vcpus[i])->tsc_offset,
		                 x86_state_of(vm->vcpus[0])->tsc_offset);
	hc_vm_destroy(vm);
}

/* --- Refusals: the error, and a word that the message must have --- */

struct refusal {
	const char *what;
	int error;
	const char *word;
	void (*damage)(void);
	uint64_t size; /* 0: the whole */
};

static void foreign(const char *magic, size_t len)
{
	memset(image, 0x90, sizeof(image));
	memcpy(image, magic, len);
}

static void elf(void)
{
	foreign("\177ELF", 4);
}
static void gzip(void)
{
	foreign("\x1f\x8b", 2);
}
static void zeros(void)
{
	memset(image, 0, sizeof(image));
}
static void text(void)
{
	memset(image, 'x', sizeof(image));
}
static void pe(void)
{
	foreign("MZ", 2);
}
static void cpio(void)
{
	foreign("070701", 6);
}
static void old_protocol(void)
{
	header()->version = 0x200;
}
static void zimage(void)
{
	header()->loadflags = 0;
}
static void bits32(void)
{
	header()->xloadflags = 0;
}
static void longer(void)
{
	header()->syssize++;
}
static void all_setup(void)
{
	header()->setup_sects = 0xff;
}
static void huge(void)
{
	header()->init_size = UINT32_MAX;
}
static void wraps(void)
{
	header()->pref_address = UINT64_MAX - 0x1000;
	header()->relocatable_kernel = 0;
}
static void nothing(void)
{
}

static const struct refusal refusals[] = {
	{ "ELF", -ENOEXEC, "ELF", elf, 0 },
	{ "gzip", -ENOEXEC, "gzip", gzip, 0 },
	{ "zeros", -ENOEXEC, "zeros", zeros, 0 },
	{ "text", -ENOEXEC, "text", text, 0 },
	{ "PE", -ENOEXEC, "UEFI", pe, 0 },
	{ "cpio", -ENOEXEC, "cpio", cpio, 0 },
	{ "1 byte", -ENOEXEC, "no known format", nothing, 1 },
	{ "header cut", -EPROTO, "ends in its header", nothing, 0x240 },
	{ "set-up code only", -EPROTO, "set-up code", nothing, SETUP },
	{ "truncated", -EPROTO, "truncated", nothing, SETUP + CODE - 64 },
	{ "longer than it is", -EPROTO, "truncated", longer, 0 },
	{ "all set-up code", -EPROTO, "set-up code", all_setup, 0x5000 },
	{ "old", -ENOEXEC, "2.6", old_protocol, 0 },
	{ "zImage", -ENOEXEC, "zImage", zimage, 0 },
	{ "32 bits", -ENOEXEC, "32-bit", bits32, 0 },
	{ "needs 4 GiB", -ENOMEM, "needs", huge, 0 },
	{ "wraps", -ENOMEM, "needs", wraps, 0 },
};

static void test_refusals(void **state)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(refusals); i++) {
		const struct refusal *r = &refusals[i];
		struct hc_vm *vm = script_vm(1, MEMORY);

		make_image();
		r->damage();
		assert_int_equal(load(vm, r->size ? r->size : sizeof(image), NULL, 0, ""),
		                 r->error);
		if (!strstr(test_log(), r->word))
			fail_msg("%s: \"%s\" lacks \"%s\"", r->what, test_log(), r->word);
		hc_vm_destroy(vm);
	}
}

static void test_empty_file(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);

	assert_int_equal(x86_load_linux(vm, image, 0, NULL, 0, ""), -ENOEXEC);
	assert_non_null(strstr(test_log(), "empty"));
	hc_vm_destroy(vm);
}

static void test_limits(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);
	uint64_t too_big = MEMORY - 0x1100000 + 1;
	uint8_t *initrd = calloc(1, too_big);
	static char line[3000];

	make_image();
	memset(line, 'a', 2047);
	assert_int_equal(load(vm, sizeof(image), NULL, 0, line), 0);
	line[2047] = 'a';
	assert_int_equal(load(vm, sizeof(image), NULL, 0, line), -E2BIG);
	assert_int_equal(load(vm, sizeof(image), initrd, too_big - 1, ""), 0);
	assert_int_equal(load(vm, sizeof(image), initrd, too_big, ""), -ENOMEM);
	assert_int_equal(load(vm, sizeof(image), initrd, UINT64_MAX, ""), -ENOMEM);
	free(initrd);
	hc_vm_destroy(vm);
	/* RAM below the preferred address: a relocatable kernel goes lower. */
	vm = script_vm(1, 16 * HC_MIB);
	assert_int_equal(load(vm, sizeof(image), NULL, 0, ""), 0);
	assert_int_equal(x86_state_of(vm->vcpus[0])->rip, 0x200200);
	header()->relocatable_kernel = 0;
	assert_int_equal(load(vm, sizeof(image), NULL, 0, ""), -ENOMEM);
	hc_vm_destroy(vm);
}

/* Random bytes of the header changed and the file cut anywhere: it loads or it is refused, with a
 * message, and the boot CPU never starts outside RAM. */
static void test_mutations(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);
	uint64_t seed = 2024;
	unsigned loaded = 0;

	for (unsigned n = 0; n < 4000; n++) {
		uint64_t size =
			test_below(&seed, 4) ? sizeof(image) : test_below(&seed, sizeof(image));
		/* A copy of exactly that size, so that a sanitizer sees reads beyond it. */
		uint8_t *file;

		make_image();
		for (unsigned i = 0; i < 1 + test_below(&seed, 4); i++)
			image[LINUX_HEADER + test_below(&seed, 0x90)] = (uint8_t)test_random(&seed);
		file = malloc(size ? size : 1);
		memcpy(file, image, size);
		int rc = x86_load_linux(vm, file, size, NULL, 0, "quiet");

		free(file);
		if (!rc) {
			uint64_t rip = x86_state_of(vm->vcpus[0])->rip;

			assert_non_null(hc_mem_ptr(vm, gpa_of(rip), 16, true));
			assert_true(rip >= HC_MIB);
			loaded++;
		}
		assert_true(rc == 0 || rc == -ENOEXEC || rc == -EPROTO || rc == -ENOMEM ||
		            rc == -E2BIG);
	}
	assert_in_range(loaded, 500, 3500);
	hc_vm_destroy(vm);
}

static void test_ram(void **state)
{
	struct hc_vm *vm = script_vm(1, 0);

	assert_int_equal(x86_add_ram(vm, 15 * HC_MIB), -EINVAL);
	assert_int_equal(x86_add_ram(vm, 17 * HC_MIB), -EINVAL);
	assert_int_equal(x86_add_ram(vm, 0), -EINVAL);
	/* Without RAM there is nowhere for anything. */
	make_image();
	assert_int_equal(x86_acpi_build(vm), -EFAULT);
	assert_int_equal(load(vm, sizeof(image), NULL, 0, ""), -ENOMEM);
	hc_vm_destroy(vm);
}

/* --- ACPI --- */

static uint8_t sum(const uint8_t *p, size_t n)
{
	unsigned s = 0;

	while (n--)
		s += *p++;
	return (uint8_t)s;
}

static const uint8_t *table(const uint8_t *ram, uint64_t at, const char *signature)
{
	uint32_t len;

	assert_in_range(at, 0xe0000, 0xfffff);
	memcpy(&len, ram + at + 4, 4);
	assert_memory_equal(ram + at, signature, 4);
	assert_in_range(at + len, 0xe0000, 0x100000);
	if (strcmp(signature, "FACS") != 0)
		assert_int_equal(sum(ram + at, len), 0);
	return ram + at;
}

static uint64_t field(const uint8_t *t, unsigned offset, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, t + offset, size);
	return v;
}

static uint64_t no_read(void *dev, uint64_t offset, unsigned size)
{
	return 0;
}

static void no_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
}

static void add_port(struct hc_vm *vm, uint64_t base)
{
	static const struct hc_region_ops ops = { no_read, no_write, 0 };
	const struct hc_region r = { "test", base, 8, &ops, NULL };

	assert_int_equal(hc_bus_add(vm, HC_SPACE_IO, &r), 0);
}

static const uint8_t *find_bytes(const uint8_t *p, size_t n, const char *bytes, size_t len)
{
	for (size_t i = 0; i + len <= n; i++)
		if (!memcmp(p + i, bytes, len))
			return p + i;
	return NULL;
}

static void test_acpi(void **state)
{
	for (unsigned cpus = 1; cpus <= X86_MAX_VCPUS; cpus += 31) {
		struct hc_vm *vm = script_vm(cpus, MEMORY);
		const uint8_t *ram;

		add_port(vm, 0x3f8);
		assert_int_equal(x86_acpi_build(vm), 0);
		ram = memory_of(vm);
		assert_memory_equal(ram + 0xe0000, "RSD PTR ", 8);
		assert_int_equal(sum(ram + 0xe0000, 20), 0);
		assert_int_equal(sum(ram + 0xe0000, 36), 0);
		const uint8_t *xsdt = table(ram, field(ram + 0xe0000, 24, 8), "XSDT");
		const uint8_t *fadt = table(ram, field(xsdt, 36, 8), "FACP");
		const uint8_t *madt = table(ram, field(xsdt, 44, 8), "APIC");
		const uint8_t *dsdt = table(ram, field(fadt, 140, 8), "DSDT");

		assert_int_equal(field(fadt, 36, 4) % 64, 0);
		table(ram, field(fadt, 36, 4), "FACS");
		assert_int_equal(field(fadt, 64, 4), X86_ACPI_PM1_CNT);
		assert_int_equal(field(fadt, 120, 8), X86_ACPI_RESET_PORT);
		/* Entries add up to the table, and there is one for each CPU. */
		unsigned at = 44, found = 0;

		for (; at < field(madt, 4, 4); at += madt[at + 1])
			found += madt[at] == 0 && madt[at + 3] == found && madt[at + 4] == 1;
		assert_int_equal(at, field(madt, 4, 4));
		assert_int_equal(found, cpus);
		/* \_S5 with its type; COM1, and no COM2. */
		size_t n = field(dsdt, 4, 4);

		assert_non_null(find_bytes(dsdt, n, "_S5_\x12\x48\x00\x04\x0a\x05", 10));
		assert_non_null(find_bytes(dsdt, n, "COM1", 4));
		assert_null(find_bytes(dsdt, n, "COM2", 4));
		if (getenv("HC_TEST_DSDT")) {
			FILE *f = fopen(getenv("HC_TEST_DSDT"), "wb");

			assert_int_equal(fwrite(dsdt, 1, n, f), n);
			fclose(f);
		}
		hc_vm_destroy(vm);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loads),     cmocka_unit_test(test_entry_state),
		cmocka_unit_test(test_refusals),  cmocka_unit_test(test_empty_file),
		cmocka_unit_test(test_limits),    cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_ram),       cmocka_unit_test(test_acpi),
		cmocka_unit_test(test_one_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
