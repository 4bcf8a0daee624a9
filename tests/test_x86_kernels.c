/* SPDX-License-Identifier: BSD-2-Clause */
/* The loaders of multiboot and PVH kernels, on made-up and on damaged files of both ELF classes. */
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/x86.h"
#include "core/log.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_env.h"

#define MEMORY    (16 * HC_MIB)
#define FILE_SIZE 0x4000u

static uint8_t file[FILE_SIZE];
static uint64_t file_size;
static bool wide; /* an ELF file of 64 bits */

/* --- Files --- */

static void put(unsigned at, uint64_t v, unsigned size)
{
	memcpy(file + at, &v, size);
}

/* A field of the ELF header or of a program header: its places in both classes; addresses, offsets
 * and sizes have 8 bytes in the wide one. */
struct place {
	uint8_t narrow, wide, size; /* size 0: 4 or 8 */
};

static const struct place e_type = { 16, 16, 2 }, e_machine = { 18, 18, 2 },
			  e_entry = { 24, 24, 0 }, e_phoff = { 28, 32, 0 },
			  e_phentsize = { 42, 54, 2 }, e_phnum = { 44, 56, 2 },
			  p_type = { 0, 0, 4 }, p_offset = { 4, 8, 0 }, p_vaddr = { 8, 16, 0 },
			  p_paddr = { 12, 24, 0 }, p_filesz = { 16, 32, 0 },
			  p_memsz = { 20, 40, 0 }, p_align = { 28, 48, 0 };

static void set(unsigned base, struct place p, uint64_t v)
{
	put(base + (wide ? p.wide : p.narrow), v, p.size ? p.size : wide ? 8 : 4);
}

static unsigned header_size(void)
{
	return wide ? 64 : 52;
}

static unsigned program(unsigned index)
{
	return header_size() + index * (wide ? 56u : 32u);
}

struct segment {
	uint64_t type, offset, vaddr, paddr, filesz, memsz, align;
};

static void set_program(unsigned index, const struct segment *s)
{
	set(program(index), p_type, s->type);
	set(program(index), p_offset, s->offset);
	set(program(index), p_vaddr, s->vaddr);
	set(program(index), p_paddr, s->paddr);
	set(program(index), p_filesz, s->filesz);
	set(program(index), p_memsz, s->memsz);
	set(program(index), p_align, s->align);
}

static const uint8_t elf_magic[4] = { 0x7f, 'E', 'L', 'F' };

#define TEXT   0x1000u
#define NOTE   0x2000u
#define DATA   0x3000u
#define MAGIC  0x1badb002u
#define HEADER 0x800u /* where the multiboot header is */

static void make_elf(bool is_wide)
{
	static const struct segment text = { 1, TEXT, 0x100000, 0x100000, 0x800, 0x800, 0x1000 };
	static const struct segment data = { 1, DATA, 0x200000, 0x200000, 0x100, 0x5000, 0x1000 };
	static const struct segment note = { 4, NOTE, 0, 0, 0, 0, 4 };

	wide = is_wide;
	file_size = FILE_SIZE;
	for (unsigned i = 0; !file[FILE_SIZE - 1] && i < FILE_SIZE; i++)
		file[i] = (uint8_t)(i * 7 + i / 256);
	memset(file, 0, 0x1000);
	memcpy(file, elf_magic, sizeof(elf_magic));
	file[4] = wide ? 2 : 1;
	file[5] = file[6] = 1;
	set(0, e_type, 2);
	set(0, e_machine, wide ? 62 : 3);
	set(0, e_entry, 0x100010);
	set(0, e_phoff, header_size());
	set(0, e_phentsize, wide ? 56 : 32);
	set(0, e_phnum, 3);
	set_program(0, &text);
	set_program(1, &data);
	set_program(2, &note);
}

static void add_multiboot(uint32_t flags)
{
	put(HEADER, MAGIC, 4);
	put(HEADER + 4, flags, 4);
	put(HEADER + 8, 0 - (MAGIC + flags), 4);
}

/* Another note before it, as linkers put them together. */
static void add_note(uint32_t entry, unsigned entry_size)
{
	static const uint32_t first[] = { 4, 5, 3, 0x00554e47, 1, 2 };

	memcpy(file + NOTE, first, sizeof(first));
	put(NOTE + 24, 4, 4);
	put(NOTE + 28, entry_size, 4);
	put(NOTE + 32, 18, 4);
	memcpy(file + NOTE + 36, "Xen", 4);
	put(NOTE + 40, entry, entry_size);
	set(program(2), p_filesz, 40 + entry_size);
}

static void make_addresses(void)
{
	static const uint32_t fields[] = { 0x100800, 0x100000, 0x103000, 0x108000, 0x100900 };

	make_elf(false);
	memset(file, 0x90, 0x800);
	add_multiboot(0x10003);
	memcpy(file + HEADER + 12, fields, sizeof(fields));
}

/* --- Loading --- */

static const uint8_t module[5000] = { 1, 2, 3 };

static int load_with(struct hc_vm *vm, const void *initrd, uint64_t initrd_size,
                     const char *cmdline)
{
	/* A copy of exactly that size, so that a sanitizer sees reads beyond it. */
	uint8_t *copy = malloc(file_size ? file_size : 1);
	const struct x86_boot boot = {
		.kernel = copy,
		.kernel_size = file_size,
		.initrd = initrd,
		.initrd_size = initrd_size,
		.cmdline = cmdline,
		.initrd_name = "the module",
	};

	memcpy(copy, file, file_size);
	int rc = x86_load_kernel(vm, &boot);

	free(copy);
	return rc;
}

static int load(struct hc_vm *vm)
{
	return load_with(vm, module, sizeof(module), " a  b ");
}

static uint8_t ram[MEMORY];

static uint64_t at(uint64_t gpa, unsigned size)
{
	uint64_t v = 0;

	assert_true(gpa + size <= MEMORY);
	memcpy(&v, ram + gpa, size);
	return v;
}

static const struct x86_state *loaded(struct hc_vm *vm)
{
	assert_int_equal(x86_acpi_build(vm), 0);
	assert_int_equal(load(vm), 0);
	assert_int_equal(hc_mem_read(vm, gpa_of(0), ram, MEMORY), 0);
	return x86_state_of(vm->vcpus[0]);
}

static void check_segments(void)
{
	assert_memory_equal(ram + 0x100000, file + TEXT, 0x800);
	assert_memory_equal(ram + 0x200000, file + DATA, 0x100);
	for (unsigned i = 0x100; i < 0x5000; i++)
		assert_int_equal(ram[0x200000 + i], 0);
}

/* Ranges follow each other, all memory is in one, and what the kernel is told is in RAM. */
static void check_map(uint64_t entries, unsigned count, unsigned stride)
{
	uint64_t end = 0, usable = 0;

	for (unsigned i = 0; i < count; i++, entries += stride) {
		uint64_t base = at(entries, 8), size = at(entries + 8, 8);
		uint64_t type = at(entries + 16, 4);

		assert_true(base >= end && size);
		assert_true(type == 1 || type == 2);
		end = base + size;
		usable += type == 1 ? size : 0;
	}
	assert_int_equal(end, MEMORY);
	assert_int_equal(usable, MEMORY - 0x60400);
}

/* Multiboot 3.2; start_info.h. */
static void check_entry(const struct hc_vm *vm, const struct x86_state *s)
{
	assert_int_equal(x86_code_bits(vm->vcpus[0]), 32);
	assert_int_equal(s->cr0 & (X86_CR0_PE | X86_CR0_PG), X86_CR0_PE);
	assert_int_equal(s->cr4, 0);
	assert_int_equal(s->efer, 0);
	assert_int_equal(s->rflags, X86_FLAG_1);
	for (unsigned i = X86_ES; i <= X86_GS; i++) {
		assert_int_equal(s->seg[i].base, 0);
		assert_int_equal(s->seg[i].limit, UINT32_MAX);
		/* As the descriptor that the selector names. */
		uint64_t d = at(s->gdtr.base + s->seg[i].selector, 8);

		assert_int_equal((d >> 40 & 0xff) | (d >> 44 & 0xf00), s->seg[i].attr);
	}
	assert_int_equal(s->seg[X86_TR].limit, 0x67);
}

static void check_multiboot(const struct hc_vm *vm, const struct x86_state *s, uint64_t kernel_end)
{
	uint64_t info = s->gpr[X86_RBX];

	check_entry(vm, s);
	assert_int_equal(s->gpr[X86_RAX], 0x2badb002);
	assert_int_equal(at(info, 4), 0x24d);
	assert_int_equal(at(info + 4, 4), 639);
	assert_int_equal(at(info + 8, 4), MEMORY / 1024 - 1024);
	assert_string_equal((char *)ram + at(info + 16, 4), " a  b ");
	assert_string_equal((char *)ram + at(info + 64, 4), "Hypercore");
	assert_int_equal(at(info + 20, 4), 1);
	uint64_t mod = at(info + 24, 4), start = at(mod, 4);

	assert_int_equal(start % 4096, 0);
	assert_true(start >= kernel_end);
	assert_int_equal(at(mod + 4, 4) - start, sizeof(module));
	assert_memory_equal(ram + start, module, sizeof(module));
	assert_string_equal((char *)ram + at(mod + 8, 4), "the module");
	assert_int_equal(at(info + 44, 4) % 24, 0);
	assert_int_equal(at(at(info + 48, 4), 4), 20);
	check_map(at(info + 48, 4) + 4, (unsigned)at(info + 44, 4) / 24, 24);
}

static void test_multiboot(void **state)
{
	for (unsigned n = 0; n < 4; n++) {
		struct hc_vm *vm = script_vm(2, MEMORY);

		make_elf(n & 1);
		add_multiboot(n & 2 ? 3 : 0);
		if (n & 2)
			add_note(0x100020, 4); /* multiboot is the one that counts */
		const struct x86_state *s = loaded(vm);

		assert_int_equal(s->rip, 0x100010);
		assert_int_equal(at(0x40e, 2), 0x9fc0); /* BIOS data area */
		assert_int_equal(at(0x413, 2), 639);
		check_segments();
		check_multiboot(vm, s, 0x205000);
		hc_vm_destroy(vm);
	}
}

/* The header alone tells what goes where, of a file of any kind. */
static void test_addresses(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);

	make_addresses();
	const struct x86_state *s = loaded(vm);

	assert_int_equal(s->rip, 0x100900);
	assert_memory_equal(ram + 0x100000, file, 0x3000);
	check_multiboot(vm, s, 0x108000);
	hc_vm_destroy(vm);
	/* Up to the file's end, and nothing behind it; a header that is not at the start. */
	vm = script_vm(1, MEMORY);
	put(HEADER + 16, 0x100400, 4);
	put(HEADER + 20, 0, 4);
	put(HEADER + 24, 0, 4);
	loaded(vm);
	assert_memory_equal(ram + 0x100400, file + 0x400, FILE_SIZE - 0x400);
	hc_vm_destroy(vm);
}

static void test_pvh(void **state)
{
	for (unsigned n = 0; n < 4; n++) {
		struct hc_vm *vm = script_vm(1, MEMORY);

		make_elf(n & 1);
		add_note(0x100020, n & 2 ? 8 : 4);
		const struct x86_state *s = loaded(vm);
		uint64_t info = s->gpr[X86_RBX];

		check_entry(vm, s);
		check_segments();
		assert_int_equal(s->rip, 0x100020);
		assert_int_equal(at(info, 4), 0x336ec578);
		assert_int_equal(at(info + 4, 4), 1);
		assert_int_equal(at(info + 8, 4), 0);
		assert_int_equal(at(info + 12, 4), 1);
		uint64_t mod = at(info + 16, 8);

		assert_memory_equal(ram + at(mod, 8), module, sizeof(module));
		assert_int_equal(at(mod + 8, 8), sizeof(module));
		assert_string_equal((char *)ram + at(mod + 16, 8), "the module");
		assert_string_equal((char *)ram + at(info + 24, 8), " a  b ");
		assert_memory_equal(ram + at(info + 32, 8), "RSD PTR ", 8);
		check_map(at(info + 40, 8), (unsigned)at(info + 48, 4), 24);
		hc_vm_destroy(vm);
	}
}

/* Kernels that run at virtual addresses: the entry point is one of them, or is none. */
static void test_virtual_entry(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);

	make_elf(true);
	add_multiboot(0);
	set(program(0), p_vaddr, UINT64_C(0xffffffff80000000));
	set(0, e_entry, UINT64_C(0xffffffff80000123));
	assert_int_equal(loaded(vm)->rip, 0x100123);
	set(0, e_entry, 0x100456);
	assert_int_equal(loaded(vm)->rip, 0x100456);
	hc_vm_destroy(vm);
}

/* A kernel in low memory is not written over by what it is told, wherever it is. */
static void test_low_kernels(void **state)
{
	static const struct {
		uint64_t base, size;
	} places[] = { { 0x1000, 0x3000 }, { 0x8000, 0x2000 }, { 0x9000, 0x1000 }, { 0, 0x9fc00 } };

	for (unsigned n = 0; n < 2 * HC_ARRAY_SIZE(places); n++) {
		struct hc_vm *vm = script_vm(1, MEMORY);
		uint64_t base = places[n / 2].base, size = places[n / 2].size;

		make_elf(n & 1);
		if (n & 1)
			add_note(0x100020, 4);
		else
			add_multiboot(0);
		set(program(1), p_paddr, base);
		set(program(1), p_memsz, size);
		const struct x86_state *s = loaded(vm);

		assert_memory_equal(ram + base, file + DATA, 0x100);
		for (uint64_t i = 0x100; i < size; i++)
			assert_int_equal(ram[base + i], 0);
		assert_true(s->gpr[X86_RBX] >= base + size || s->gpr[X86_RBX] < base);
		hc_vm_destroy(vm);
	}
}

static void test_room(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);
	uint8_t *big = calloc(1, MEMORY);
	char *line = calloc(1, 700 * HC_KIB + 1);

	memset(line, 'x', 700 * HC_KIB);
	for (unsigned n = 0; n < 2; n++) {
		uint64_t room = MEMORY - 0x205000;

		make_elf(n);
		if (n)
			add_note(0x100020, 4);
		else
			add_multiboot(3);
		assert_int_equal(load_with(vm, big, room, ""), 0);
		assert_int_equal(load_with(vm, big, room + 1, ""), -ENOMEM);
		assert_int_equal(load_with(vm, big, UINT64_MAX, ""), -ENOMEM);
		/* Too long for low memory: above the kernel, if it fits there. */
		assert_int_equal(load_with(vm, big, room - HC_MIB, line), 0);
		assert_int_equal(load_with(vm, big, room, line), -ENOMEM);
		assert_int_equal(load_with(vm, NULL, 0, ""), 0);
	}
	free(line);
	free(big);
	hc_vm_destroy(vm);
}

/* --- Refusals: the error, and words that the message must have --- */

static void elf(void)
{
	make_elf(true);
}
static void elf_class(void)
{
	file[4] = 3;
}
static void elf_data(void)
{
	file[5] = 2;
}
static void elf_version(void)
{
	file[6] = 0;
}
static void type(void)
{
	set(0, e_type, 1);
}
static void machine(void)
{
	set(0, e_machine, 183);
}
static void wide_386(void)
{
	set(0, e_machine, 3);
}
static void phentsize(void)
{
	set(0, e_phentsize, 32);
}
static void no_headers(void)
{
	set(0, e_phnum, 0);
}
static void headers_far(void)
{
	set(0, e_phoff, UINT64_MAX - 8);
}
static void many_headers(void)
{
	set(0, e_phnum, 0xffff);
}
static void no_segment(void)
{
	set(program(0), p_type, 0);
	set(program(1), p_type, 0);
}
static void offset_far(void)
{
	set(program(1), p_offset, UINT64_MAX - 4);
}
static void filesz_over(void)
{
	set(program(1), p_filesz, 0x5001);
}
static void in_hole(void)
{
	set(program(1), p_paddr, 0xf0000);
}
static void across_hole(void)
{
	set(program(1), p_paddr, 0x9b000);
}
static void beyond_ram(void)
{
	set(program(1), p_paddr, MEMORY - 0x4fff);
}
static void address_wraps(void)
{
	set(program(1), p_paddr, UINT64_MAX - 0x1000);
}
static void size_wraps(void)
{
	set(program(1), p_memsz, UINT64_MAX - 0x1000);
}
static void overlap(void)
{
	set(program(1), p_paddr, 0x1007ff);
}
static void overlap_below(void)
{
	set(program(1), p_paddr, 0xffffff);
	set(program(0), p_paddr, 0x101000);
	set(program(1), p_paddr, 0x100fff);
}
static void odd_align(void)
{
	set(program(0), p_align, 0x1001);
}
static void entry_nowhere(void)
{
	set(0, e_entry, 0x300000);
}
static void pvh_nowhere(void)
{
	put(HEADER, 0, 4);
	add_note(0x100800, 4);
}
static void checksum(void)
{
	put(HEADER + 8, 0, 4);
}
static void wants_more(void)
{
	add_multiboot(8);
}
static void load_above_header(void)
{
	make_addresses();
	put(HEADER + 16, 0x100801, 4);
}
static void load_before_file(void)
{
	make_addresses();
	put(HEADER + 12, 0x200000, 4);
}
static void load_end(void)
{
	make_addresses();
	put(HEADER + 20, 0xfffff, 4);
}
static void load_end_far(void)
{
	make_addresses();
	put(HEADER + 20, 0x105000, 4);
}
static void bss_end(void)
{
	make_addresses();
	put(HEADER + 24, 0x102fff, 4);
}
static void bss_far(void)
{
	make_addresses();
	put(HEADER + 24, UINT32_MAX, 4);
}
static void addresses_entry(void)
{
	make_addresses();
	put(HEADER + 28, 0x108000, 4);
}
static void addresses_cut(void)
{
	make_addresses();
	file_size = HEADER + 31;
}
static void cut_header(void)
{
	file_size = 60;
}
static void cut_segment(void)
{
	file_size = DATA + 0xff;
}
static void no_magic(void)
{
	put(HEADER, 0, 4);
}
static void text(void)
{
	memset(file, 'x', 0x1000);
}

static const struct refusal {
	void (*damage)(void);
	int error;
	const char *words;
} refusals[] = {
	{ no_magic, -ENOEXEC, "without a multiboot header or a PVH note" },
	{ text, -ENOEXEC, "is text; wants" },
	{ elf_class, -ENOEXEC, "as an ELF file: its e_ident[EI_CLASS] should be" },
	{ elf_data, -ENOEXEC, "EI_DATA" },
	{ elf_version, -ENOEXEC, "EI_VERSION" },
	{ type, -ENOEXEC, "e_type" },
	{ machine, -ENOEXEC, "e_machine" },
	{ wide_386, -ENOEXEC, "e_machine" },
	{ phentsize, -ENOEXEC, "e_phentsize" },
	{ no_headers, -ENOEXEC, "e_phnum" },
	{ headers_far, -EPROTO, "as an ELF file: it ends before e_phnum program headers" },
	{ many_headers, -EPROTO, "e_phoff" },
	{ no_segment, -EPROTO, "p_type" },
	{ offset_far, -EPROTO, "truncated: program header 1 (p_offset" },
	{ filesz_over, -EPROTO, "0x5001 bytes of file" },
	{ in_hole, -ENOMEM, "not in RAM" },
	{ across_hole, -ENOMEM, "not in RAM" },
	{ beyond_ram, -ENOMEM, "not in RAM" },
	{ address_wraps, -ENOMEM, "not in RAM" },
	{ size_wraps, -ENOMEM, "p_memsz" },
	{ overlap, -EPROTO, "overlap" },
	{ overlap_below, -EPROTO, "overlap" },
	{ odd_align, -EPROTO, "p_align" },
	{ entry_nowhere, -EPROTO, "e_entry: 0x300000" },
	{ pvh_nowhere, -EPROTO, "PVH note: 0x100800" },
	{ checksum, -EPROTO, "checksum" },
	{ wants_more, -EPROTO, "flags = 0x8" },
	{ load_above_header, -EPROTO, "load_addr" },
	{ load_before_file, -EPROTO, "load_addr" },
	{ load_end, -EPROTO, "load_end_addr" },
	{ load_end_far, -EPROTO, "truncated: multiboot header (load_addr" },
	{ bss_end, -EPROTO, "bss_end_addr" },
	{ bss_far, -ENOMEM, "bss_end_addr" },
	{ addresses_entry, -EPROTO, "entry_addr: 0x108000" },
	{ addresses_cut, -EPROTO, "ends in its multiboot header" },
	{ cut_segment, -EPROTO, "truncated: program header 1" },
};

static void test_refusals(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);

	for (unsigned i = 0; i < HC_ARRAY_SIZE(refusals); i++) {
		const struct refusal *r = &refusals[i];

		elf();
		add_multiboot(0);
		r->damage();
		int rc = load(vm);

		if (rc != r->error || !strstr(test_log(), r->words))
			fail_msg("refusal %u (%s): %d, \"%s\"", i, r->words, rc, test_log());
	}
	hc_vm_destroy(vm);
}

/* The same file in pieces: whatever is left of it is not taken for another kind. */
static void test_cuts(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);

	for (unsigned n = 0; n < 4; n++) {
		for (unsigned size = 0; size < DATA + 0x100; size += 1 + size / 8) {
			make_elf(n & 1);
			if (n & 2)
				add_note(0x100020, 4);
			else
				add_multiboot(0);
			file_size = size;
			assert_true(load(vm) < 0);
		}
		file_size = DATA + 0x100;
		assert_int_equal(load(vm), 0);
	}
	elf();
	cut_header();
	assert_int_equal(load(vm), -EPROTO);
	hc_vm_destroy(vm);
}

/* Many segments, and one too many. */
static void test_many_segments(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);

	make_elf(false);
	add_multiboot(0);
	for (unsigned i = 0; i < 65; i++) {
		/* In no order; the multiboot header is behind 64 of them. */
		const struct segment s = {
			1, TEXT, 0, 0x100000 + (i * 37 % 65) * 0x1000, 16, 32, 1
		};

		set(0, e_phoff, DATA);
		memcpy(file + DATA + i * 32,
		       &(uint32_t[]){ (uint32_t)s.type, (uint32_t)s.offset, (uint32_t)s.vaddr,
		                      (uint32_t)s.paddr, (uint32_t)s.filesz, (uint32_t)s.memsz, 7,
		                      (uint32_t)s.align },
		       32);
	}
	set(0, e_phnum, 64);
	assert_int_equal(load(vm), 0);
	set(0, e_phnum, 65);
	assert_int_equal(load(vm), -EPROTO);
	assert_non_null(strstr(test_log(), "more than 64 segments"));
	hc_vm_destroy(vm);
}

/* Random bytes of the headers changed and the file cut anywhere: it loads or it is refused, with a
 * message, and the boot CPU never starts outside RAM. */
static void test_mutations(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);
	uint64_t seed = 2025;
	unsigned loads = 0;

	for (unsigned n = 0; n < 6000; n++) {
		unsigned kind = (unsigned)test_below(&seed, 5), base = 0, span = program(3);

		if (kind < 4)
			make_elf(kind & 1);
		else
			make_addresses();
		if (kind < 2)
			add_multiboot((uint32_t)test_below(&seed, 2) * 3);
		else if (kind < 4)
			add_note(0x100020, 4);
		if (kind == 4 || !test_below(&seed, 4)) {
			base = kind < 2 || kind == 4 ? HEADER : NOTE;
			span = 48;
		}
		for (uint64_t i = 0; i <= test_below(&seed, 3); i++)
			file[base + test_below(&seed, span)] = (uint8_t)test_random(&seed);
		if (!test_below(&seed, 6))
			file_size = test_below(&seed, FILE_SIZE);
		hc_error(-EINVAL, "none");
		int rc = load(vm);

		assert_true(rc == 0 || rc == -ENOEXEC || rc == -EPROTO || rc == -ENOMEM);
		if (rc)
			assert_non_null(strstr(hc_error_last(), "kernel"));
		else
			assert_non_null(
				hc_mem_ptr(vm, gpa_of(x86_state_of(vm->vcpus[0])->rip), 1, true));
		loads += !rc;
	}
	assert_in_range(loads, 1000, 5500);
	hc_vm_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_multiboot),     cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_pvh),           cmocka_unit_test(test_virtual_entry),
		cmocka_unit_test(test_low_kernels),   cmocka_unit_test(test_room),
		cmocka_unit_test(test_refusals),      cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_many_segments), cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
