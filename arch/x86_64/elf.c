/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF files of 32 and 64 bits: where their segments go, and the note of the x86/HVM direct boot ABI
 * (System V ABI, edition 4.1, chapters 4 and 5; Xen: xen/include/public/elfnote.h). The file is not
 * trusted.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/boot.h"
#include "core/log.h"

enum { CLASS_32 = 1, CLASS_64 = 2 };
enum { DATA_LSB = 1 };
enum { ET_EXEC = 2, ET_DYN = 3 };
enum { EM_386 = 3, EM_X86_64 = 62 };
enum { PT_LOAD = 1, PT_NOTE = 4 };

#define XEN_ELFNOTE_PHYS32_ENTRY 18u

/* Offsets of the fields in both classes; those of addresses and sizes are as wide as the class. */
struct field {
	uint8_t at, size;
};

/* By class - 1. */
static const struct layout {
	uint8_t header, program; /* sizes */
	struct field e_type, e_machine, e_entry, e_phoff, e_phentsize, e_phnum;
	struct field p_type, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align;
} layouts[2] = {
	{ 52,
	  32,
	  { 16, 2 },
	  { 18, 2 },
	  { 24, 4 },
	  { 28, 4 },
	  { 42, 2 },
	  { 44, 2 },
	  { 0, 4 },
	  { 4, 4 },
	  { 8, 4 },
	  { 12, 4 },
	  { 16, 4 },
	  { 20, 4 },
	  { 28, 4 } },
	{ 64,
	  56,
	  { 16, 2 },
	  { 18, 2 },
	  { 24, 8 },
	  { 32, 8 },
	  { 54, 2 },
	  { 56, 2 },
	  { 0, 4 },
	  { 8, 8 },
	  { 16, 8 },
	  { 24, 8 },
	  { 32, 8 },
	  { 40, 8 },
	  { 48, 8 } },
};

static uint64_t get(const uint8_t *p, struct field f)
{
	uint64_t v = 0;

	memcpy(&v, p + f.at, f.size);
	return v;
}

struct elf {
	const uint8_t *file;
	uint64_t size;
	const struct layout *l;
	uint64_t phoff;
	unsigned phnum;
};

/* --- The header --- */

/* A file that was cut off is damaged (-EPROTO); with other mistakes, it is for something else. */
static const char cut_header[] = "it ends in its header";
static const char cut_programs[] = "it ends before e_phnum program headers from e_phoff on";

/* What is wrong: the field and what it should be, or one of these. Or NULL. */
static const char *check_ident(const uint8_t *file, uint64_t size)
{
	static const uint8_t magic[4] = { 0x7f, 'E', 'L', 'F' };

	if (size < 16 || memcmp(file, magic, sizeof(magic)) != 0)
		return "its e_ident should begin with 7fh, ELF";
	if (file[4] != CLASS_32 && file[4] != CLASS_64)
		return "its e_ident[EI_CLASS] should be 1 (32 bits) or 2 (64 bits)";
	if (file[5] != DATA_LSB)
		return "its e_ident[EI_DATA] should be 1 (little-endian)";
	if (file[6] != 1)
		return "its e_ident[EI_VERSION] should be 1";
	if (size < layouts[file[4] - 1].header)
		return cut_header;
	return NULL;
}

static const char *check_header(const struct elf *e)
{
	const struct layout *l = e->l;
	uint64_t type = get(e->file, l->e_type), machine = get(e->file, l->e_machine);

	if (machine != EM_X86_64 && (machine != EM_386 || e->file[4] == CLASS_64))
		return "its e_machine should be 3 (80386) or 62 (x86-64)";
	if (type != ET_EXEC && type != ET_DYN)
		return "its e_type should be 2 (executable) or 3 (shared object)";
	if (!e->phnum)
		return "its e_phnum should not be 0";
	if (get(e->file, l->e_phentsize) != l->program)
		return "its e_phentsize should be 32 (of 32 bits) or 56 (of 64 bits)";
	if (e->phoff > e->size || (uint64_t)e->phnum * l->program > e->size - e->phoff)
		return cut_programs;
	return NULL;
}

static const char *open_elf(struct elf *e, const void *file, uint64_t size)
{
	const char *wrong = check_ident(file, size);

	if (wrong)
		return wrong;
	*e = (struct elf){ .file = file, .size = size };
	e->l = &layouts[e->file[4] - 1];
	e->phoff = get(e->file, e->l->e_phoff);
	e->phnum = (unsigned)get(e->file, e->l->e_phnum);
	return check_header(e);
}

static const uint8_t *program(const struct elf *e, unsigned index)
{
	return e->file + e->phoff + (uint64_t)index * e->l->program;
}

/* --- Segments --- */

static int load_segment(struct hc_vm *vm, const struct elf *e, unsigned index,
                        struct boot_kernel *k)
{
	const uint8_t *p = program(e, index);
	const struct layout *l = e->l;
	const struct boot_segment s = { get(p, l->p_paddr), get(p, l->p_memsz), get(p, l->p_offset),
		                        get(p, l->p_filesz) };
	uint64_t align = get(p, l->p_align), vaddr = get(p, l->p_vaddr);
	uint64_t entry = get(e->file, l->e_entry);
	char what[64];

	hc_snprintf(what, sizeof(what), "program header %u (p_offset, p_paddr, p_memsz)", index);
	if (align & (align - 1))
		return hc_error(-EPROTO,
		                "vm %s: kernel file, program header %u: p_align: %#llx should be a "
		                "power of two",
		                vm->name, index, (unsigned long long)align);
	/* Kernels that run elsewhere than they are loaded give a virtual address. */
	if (entry >= vaddr && entry - vaddr < s.size)
		k->entry = s.at + (entry - vaddr);
	return x86_boot_add_segment(vm, k, &s, e->size, what);
}

int x86_elf_read(struct hc_vm *vm, const void *file, uint64_t size, struct boot_kernel *k)
{
	struct elf e;
	const char *wrong = open_elf(&e, file, size);
	int rc = 0;

	if (wrong)
		return hc_error(wrong == cut_header || wrong == cut_programs ? -EPROTO : -ENOEXEC,
		                "vm %s: the kernel file cannot be loaded as an ELF file: %s",
		                vm->name, wrong);
	k->entry = get(e.file, e.l->e_entry);
	for (unsigned i = 0; !rc && i < e.phnum; i++)
		if (get(program(&e, i), e.l->p_type) == PT_LOAD)
			rc = load_segment(vm, &e, i, k);
	if (!rc && !k->count)
		rc = hc_error(-EPROTO,
		              "vm %s: the kernel file is an ELF file without a segment to load: "
		              "p_type is 1 in no program header",
		              vm->name);
	return rc;
}

/* --- Notes --- */

static const struct field name_size = { 0, 4 }, desc_size = { 4, 4 }, note_type = { 8, 4 };

/* The PVH entry point in size bytes of notes, or 0. Names and contents are padded to align. */
static uint64_t find_note(const uint8_t *p, uint64_t size, uint64_t align)
{
	while (size >= 12) {
		uint64_t names = get(p, name_size), descs = get(p, desc_size);
		uint64_t desc = HC_ALIGN_UP(12 + names, align);
		uint64_t next = desc + HC_ALIGN_UP(descs, align);

		if (desc > size || descs > size - desc)
			return 0;
		if (names == 4 && memcmp(p + 12, "Xen", 4) == 0 &&
		    get(p, note_type) == XEN_ELFNOTE_PHYS32_ENTRY && (descs == 4 || descs == 8))
			return get(p + desc, (struct field){ 0, (uint8_t)descs });
		if (next > size)
			return 0;
		p += next;
		size -= next;
	}
	return 0;
}

uint64_t x86_elf_pvh_entry(const void *file, uint64_t size)
{
	struct elf e;
	uint64_t found = 0;

	if (open_elf(&e, file, size))
		return 0;
	for (unsigned i = 0; !found && i < e.phnum; i++) {
		const uint8_t *p = program(&e, i);
		uint64_t at = get(p, e.l->p_offset), len = get(p, e.l->p_filesz);

		if (get(p, e.l->p_type) == PT_NOTE && at <= size && len <= size - at)
			found = find_note(e.file + at, len, get(p, e.l->p_align) == 8 ? 8 : 4);
	}
	return found;
}
