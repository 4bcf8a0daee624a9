/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest memory and CPU 0 as firmware would leave them, whatever the boot protocol. */
#include "arch/x86_64/boot.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/kernel_file.h"
#include "arch/x86_64/msr.h"
#include "core/log.h"

/* Below it boot sectors and their stacks are at home; small kernels start other CPUs there. */
#define AREA_BASE UINT64_C(0x9000)

/* --- Memory --- */

uint64_t x86_boot_low_ram(struct hc_vm *vm)
{
	const struct hc_memory *m = &vm->memory;
	uint64_t end = 0;

	/* Slots that follow each other without a gap, from 0. */
	for (unsigned i = 0; i < m->count && m->slots[i].gpa == end; i++)
		end += m->slots[i].size;
	return hc_min(end, X86_RAM_LOW_END);
}

static void add(struct boot_map *map, uint64_t from, uint64_t to, uint32_t type)
{
	if (from < to && map->count < BOOT_MAP_MAX)
		map->ranges[map->count++] = (struct boot_range){ from, to - from, type };
}

void x86_boot_map(struct hc_vm *vm, struct boot_map *map)
{
	const struct hc_memory *m = &vm->memory;
	uint64_t low = x86_boot_low_ram(vm);

	map->count = 0;
	add(map, 0, BOOT_LOW_RAM_END, BOOT_RAM);
	add(map, BOOT_LOW_RAM_END, 0xa0000, BOOT_RESERVED);
	add(map, BOOT_BIOS_AREA, BOOT_HIGH_RAM, BOOT_RESERVED);
	add(map, BOOT_HIGH_RAM, low, BOOT_RAM);
	for (unsigned i = 0; i < m->count; i++)
		if (m->slots[i].gpa >= low)
			add(map, m->slots[i].gpa, m->slots[i].gpa + m->slots[i].size,
			    m->slots[i].flags & HC_SLOT_READONLY ? BOOT_RESERVED : BOOT_RAM);
}

/* --- Segments --- */

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static bool is_free_ram(struct hc_vm *vm, uint64_t at, uint64_t size)
{
	uint64_t high = x86_boot_low_ram(vm);

	if (at < BOOT_LOW_RAM_END)
		return size <= BOOT_LOW_RAM_END - at;
	return at >= BOOT_HIGH_RAM && at < high && size <= high - at;
}

/* Keeps them rising. */
static void insert(struct boot_kernel *k, const struct boot_segment *s)
{
	unsigned i = k->count++;

	for (; i > 0 && k->segments[i - 1].at > s->at; i--)
		k->segments[i] = k->segments[i - 1];
	k->segments[i] = *s;
	k->end = hc_max(k->end, s->at + s->size);
}

int x86_boot_add_segment(struct hc_vm *vm, struct boot_kernel *k, const struct boot_segment *s,
                         uint64_t file_size, const char *what)
{
	if (s->file_bytes > s->size)
		return hc_error(-EPROTO,
		                "vm %s: kernel file, %s: %#llx bytes of file for %#llx of memory",
		                vm->name, what, (unsigned long long)s->file_bytes,
		                (unsigned long long)s->size);
	if (s->file_bytes && (s->file > file_size || s->file_bytes > file_size - s->file))
		return hc_error(-EPROTO,
		                "vm %s: the kernel file is truncated: %s wants %#llx bytes at "
		                "%#llx, the file has %#llx",
		                vm->name, what, (unsigned long long)s->file_bytes,
		                (unsigned long long)s->file, (unsigned long long)file_size);
	if (!s->size)
		return 0;
	if (!is_free_ram(vm, s->at, s->size))
		return hc_error(-ENOMEM,
		                "vm %s: kernel file, %s: %#llx bytes at %#llx are not in RAM for "
		                "kernels, which is below %#llx and from %#llx to %#llx",
		                vm->name, what, (unsigned long long)s->size,
		                (unsigned long long)s->at, (unsigned long long)BOOT_LOW_RAM_END,
		                (unsigned long long)BOOT_HIGH_RAM,
		                (unsigned long long)x86_boot_low_ram(vm));
	for (unsigned i = 0; i < k->count; i++)
		if (overlap(s->at, s->size, k->segments[i].at, k->segments[i].size))
			return hc_error(-EPROTO,
			                "vm %s: kernel file, %s: %#llx bytes at %#llx overlap the "
			                "segment at %#llx",
			                vm->name, what, (unsigned long long)s->size,
			                (unsigned long long)s->at,
			                (unsigned long long)k->segments[i].at);
	if (k->count == BOOT_MAX_SEGMENTS)
		return hc_error(-EPROTO, "vm %s: kernel file, %s: more than %u segments", vm->name,
		                what, BOOT_MAX_SEGMENTS);
	insert(k, s);
	return 0;
}

int x86_boot_check_entry(struct hc_vm *vm, const struct boot_kernel *k, const char *what)
{
	for (unsigned i = 0; i < k->count; i++)
		if (k->entry >= k->segments[i].at &&
		    k->entry - k->segments[i].at < k->segments[i].size)
			return 0;
	return hc_error(-EPROTO, "vm %s: kernel file, %s: %#llx is in no segment that is loaded",
	                vm->name, what, (unsigned long long)k->entry);
}

static bool is_taken(const struct boot_kernel *k, uint64_t at, uint64_t size)
{
	for (unsigned i = 0; i < k->count; i++)
		if (overlap(at, size, k->segments[i].at, k->segments[i].size))
			return true;
	return false;
}

/* Multiboot kernels that look for low memory as the BIOS left it (Xen) find it in the BIOS data
 * area: where the extended one begins, and how many KiB there are below it. */
#define BDA              0x400
#define BDA_SIZE         0x100
#define BDA_EBDA_SEGMENT 0x40e
#define BDA_MEMORY_KIB   0x413

static int write_bios_data(struct hc_vm *vm, const struct boot_kernel *k)
{
	static const uint16_t ebda = BOOT_LOW_RAM_END >> 4, kib = BOOT_LOW_RAM_END / HC_KIB;
	static const uint8_t ebda_kib = 1;

	if (is_taken(k, BDA, BDA_SIZE)) /* the kernel's zeroed memory is there */
		return 0;
	int rc = hc_mem_write(vm, gpa_of(BDA_EBDA_SEGMENT), &ebda, sizeof(ebda));

	if (!rc)
		rc = hc_mem_write(vm, gpa_of(BDA_MEMORY_KIB), &kib, sizeof(kib));
	return rc ? rc : hc_mem_write(vm, gpa_of(BOOT_LOW_RAM_END), &ebda_kib, 1);
}

int x86_boot_place(struct hc_vm *vm, const struct boot_kernel *k, const void *file)
{
	int rc = write_bios_data(vm, k);

	for (unsigned i = 0; !rc && i < k->count; i++) {
		const struct boot_segment *s = &k->segments[i];

		if (s->file_bytes)
			rc = hc_mem_write(vm, gpa_of(s->at), (const uint8_t *)file + s->file,
			                  s->file_bytes);
	}
	return rc;
}

/* --- Information --- */

int x86_boot_area(struct hc_vm *vm, struct boot_area *area, const struct boot_kernel *k,
                  uint64_t size, uint64_t fallback, uint64_t limit)
{
	uint64_t at = AREA_BASE;

	/* Behind whichever segment is in the way; they are rising. */
	for (unsigned i = 0; i < k->count && is_taken(k, at, size); i++)
		at = hc_max(at, HC_ALIGN_UP(k->segments[i].at + k->segments[i].size, 16));
	if (at + size > BOOT_LOW_RAM_END || is_taken(k, at, size))
		at = HC_ALIGN_UP(hc_max(fallback, BOOT_HIGH_RAM), HC_PAGE_SIZE);
	if (at + size > limit && at >= BOOT_HIGH_RAM)
		return hc_error(-ENOMEM,
		                "vm %s: no room for the %llu bytes that the kernel is to be told "
		                "between %#llx and %#llx; give the VM more memory",
		                vm->name, (unsigned long long)size, (unsigned long long)at,
		                (unsigned long long)limit);
	*area = (struct boot_area){ vm, at, at + size, 0 };
	return 0;
}

uint32_t x86_boot_put(struct boot_area *area, const void *data, uint64_t size)
{
	uint64_t at = HC_ALIGN_UP(area->at, 8);

	if (!area->error && (at > area->end || size > area->end - at))
		area->error = -ENOMEM;
	if (!area->error)
		area->error = hc_mem_write(area->vm, gpa_of(at), data, size);
	if (!area->error)
		area->at = at + size;
	return (uint32_t)at;
}

/* --- CPU 0 --- */

void x86_boot_firmware(struct hc_vm *vm)
{
	for (unsigned i = 0; i < vm->cpu_count; i++)
		x86_msr_set_boot_mtrrs(vm->vcpus[i]);
	x86_apic_virtual_wire(vm->vcpus[0]);
}

/* Null, code at 8, data at 10h: what the segments hold already, for kernels that load them. */
static const uint64_t gdt_32[] = { 0, UINT64_C(0x00cf9b000000ffff), UINT64_C(0x00cf93000000ffff) };
_Static_assert(sizeof(gdt_32) == BOOT_GDT_SIZE, "as the header says");

int x86_boot_enter_32(struct hc_vm *vm, uint64_t gdt, uint64_t entry, uint32_t eax, uint32_t ebx)
{
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct x86_state *s = x86_state_of(vcpu);

	x86_vcpu_reset(vcpu, true);
	s->cr0 = X86_CR0_PE | X86_CR0_ET;
	s->seg[X86_CS] = (struct x86_segment){ 0x08, 0xc9b, UINT32_MAX, 0 };
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		if (i != X86_CS)
			s->seg[i] = (struct x86_segment){ 0x10, 0xc93, UINT32_MAX, 0 };
	s->seg[X86_TR].limit = 0x67; /* a 32-bit TSS: PVH wants it */
	s->gdtr = (struct x86_dtable){ gdt, sizeof(gdt_32) - 1 };
	s->rip = entry;
	s->gpr[X86_RAX] = eax;
	s->gpr[X86_RBX] = ebx;
	s->gpr[X86_RDX] = 0;
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	x86_boot_firmware(vm);
	return hc_mem_write(vm, gpa_of(gdt), gdt_32, sizeof(gdt_32));
}

/* --- Which protocol --- */

static bool is_elf(const void *file, uint64_t size)
{
	static const uint8_t magic[4] = { 0x7f, 'E', 'L', 'F' };

	return size >= sizeof(magic) && memcmp(file, magic, sizeof(magic)) == 0;
}

static bool is_linux(const void *file, uint64_t size)
{
	return size >= 0x206 && memcmp((const uint8_t *)file + 0x202, "HdrS", 4) == 0;
}

enum x86_kernel x86_kernel_kind(const void *file, uint64_t size)
{
	bool broken = false;

	if (is_linux(file, size))
		return X86_KERNEL_LINUX;
	if (x86_is_multiboot(file, size, &broken))
		return X86_KERNEL_MULTIBOOT;
	if (x86_elf_pvh_entry(file, size))
		return X86_KERNEL_PVH;
	return broken ? X86_KERNEL_MULTIBOOT : X86_KERNEL_NONE;
}

static int no_entry(struct hc_vm *vm, const struct x86_boot *boot)
{
	struct boot_kernel k = { 0 };

	if (!is_elf(boot->kernel, boot->kernel_size))
		return hc_error(-ENOEXEC,
		                "vm %s: the kernel file is %s; wants a Linux bzImage (vmlinuz), or "
		                "an ELF file with a multiboot header or a PVH note",
		                vm->name, hc_kernel_file_kind(boot->kernel, boot->kernel_size));
	int rc = x86_elf_read(vm, boot->kernel, boot->kernel_size, &k);

	return rc ? rc
	          : hc_error(-ENOEXEC,
	                     "vm %s: the kernel file is an ELF file without a multiboot header or "
	                     "a PVH note; wants one of them, or a Linux bzImage (vmlinuz)",
	                     vm->name);
}

int x86_load_kernel(struct hc_vm *vm, const struct x86_boot *boot)
{
	switch (x86_kernel_kind(boot->kernel, boot->kernel_size)) {
	case X86_KERNEL_LINUX:
		return x86_load_linux(vm, boot->kernel, boot->kernel_size, boot->initrd,
		                      boot->initrd_size, boot->cmdline);
	case X86_KERNEL_MULTIBOOT: return x86_load_multiboot(vm, boot);
	case X86_KERNEL_PVH: return x86_load_pvh(vm, boot);
	case X86_KERNEL_NONE:
	default: return no_entry(vm, boot);
	}
}
