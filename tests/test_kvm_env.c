/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/test_kvm.h"

#include <stdio.h>
#include <string.h>

#include "arch/x86_64/host/cpuid.h"
#include "platform/linux/linux.h"

struct guest guest;

/* --- The device --- */

static void note(uint64_t offset, unsigned size, bool write, uint64_t value)
{
	if (guest.access_count < MAX_ACCESS)
		guest.accesses[guest.access_count] =
			(struct guest_access){ offset, value, size, write };
	guest.access_count++;
	if (guest.on_access)
		guest.on_access();
}

static uint64_t device_read(void *dev, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, guest.bytes + offset, size);
	note(offset, size, false, value);
	return value;
}

static void device_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	memcpy(guest.bytes + offset, &value, size);
	note(offset, size, true, value);
}

void guest_expect(unsigned i, bool write, uint64_t offset, unsigned size, uint64_t value)
{
	assert_true(i < guest.access_count);
	assert_int_equal(guest.accesses[i].write, write);
	assert_int_equal(guest.accesses[i].offset, offset);
	assert_int_equal(guest.accesses[i].size, size);
	assert_int_equal(guest.accesses[i].value, value);
}

/* --- Set-up --- */

static void add_devices(void)
{
	static const struct hc_region_ops ops = { device_read, device_write, 0 };
	const struct hc_region memory = { "bytes", DEVICE, BYTES, &ops, NULL };
	const struct hc_region ports = { "bytes", PORTS, BYTES, &ops, NULL };

	assert_int_equal(hc_bus_add(guest.vm, HC_SPACE_MEMORY, &memory), 0);
	assert_int_equal(hc_bus_add(guest.vm, HC_SPACE_IO, &ports), 0);
	for (unsigned i = 0; i < BYTES; i++)
		guest.bytes[i] = (uint8_t)(0xa0 + i);
	guest.access_count = 0;
	guest.on_access = NULL;
}

void linux_cpu_set_exit_flag(uint8_t *flag)
{
	guest.exit_flag = flag;
}

void guest_make(const uint8_t *code, const uint8_t *end)
{
	const struct hc_vm_config config = { "test", &x86_arch_ops, guest_backend, 1, NULL, 0, 0 };

	test_platform_init(1);
	test_allocated = 0;
	assert_int_equal(hc_vm_create(&guest.vm, &config), 0);
	assert_int_equal(hc_vm_add_ram(guest.vm, gpa_of(0), RAM_SIZE), 0);
	add_devices();
	guest.vcpu = guest.vm->vcpus[0];
	guest.st = x86_state_of(guest.vcpu);
	guest.ram = hc_mem_ptr(guest.vm, gpa_of(0), RAM_SIZE, true);
	assert_non_null(guest.ram);
	assert_int_equal(hc_mem_write(guest.vm, gpa_of(CODE), code, (uint64_t)(end - code)), 0);
	guest.st->rip = CODE;
	guest.st->gpr[X86_RSP] = CODE;
	guest.st->seg[X86_CS].selector = 0;
	guest.st->seg[X86_CS].base = 0;
}

/* Selectors 8: 64-bit code, 10h: data, 18h: 32-bit code. */
static const uint64_t gdt[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff };

static struct x86_segment flat(unsigned selector)
{
	uint64_t d = gdt[selector / 8];

	return (struct x86_segment){
		.selector = (uint16_t)selector,
		.attr = (uint16_t)((d >> 40 & 0xff) | (d >> 44 & 0xf00)),
		.limit = 0xffffffff,
	};
}

void guest_protected_mode(unsigned code_selector)
{
	static const enum x86_seg data[] = { X86_ES, X86_SS, X86_DS, X86_FS, X86_GS };

	memcpy(guest.ram + GDT, gdt, sizeof(gdt));
	guest.st->gdtr = (struct x86_dtable){ GDT, sizeof(gdt) - 1 };
	guest.st->idtr = (struct x86_dtable){ IDT, 0xfff };
	guest.st->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
	guest.st->seg[X86_CS] = flat(code_selector);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(data); i++)
		guest.st->seg[data[i]] = flat(0x10);
}

/* 2 MiB pages for the first 2 MiB and for every device, at their own addresses. */
static void map_identity(void)
{
	static const uint64_t pages[] = { 0, DEVICE, ROM, X86_APIC_BASE };
	uint64_t *pml4 = (uint64_t *)(void *)(guest.ram + TABLES), *pdpt = pml4 + 512;

	pml4[0] = (TABLES + 0x1000) | 3;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(pages); i++) {
		unsigned gib = (unsigned)(pages[i] >> 30);
		uint64_t *pd = pml4 + 512 * (2 + gib);

		pdpt[gib] = (TABLES + 0x2000 + gib * 0x1000) | 3;
		pd[pages[i] >> 21 & 511] = HC_ALIGN_DOWN(pages[i], HC_MIB * 2) | 0x83;
	}
}

void guest_long_mode(void)
{
	guest_protected_mode(8);
	map_identity();
	guest.st->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR;
	guest.st->cr3 = TABLES;
	guest.st->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE;
	guest.st->cr0 |= X86_CR0_PG | X86_CR0_WP;
}

/* All vectors that are not set lead nowhere: a guest that takes one triple faults. */
static void set_gate(unsigned vector, uint64_t handler)
{
	uint64_t gate[2] = { 0, handler >> 32 };

	gate[0] = (handler & 0xffff) | 8u << 16 | UINT64_C(0x8e00) << 32 |
	          (handler >> 16 & 0xffff) << 48;
	memcpy(guest.ram + IDT + vector * 16, gate, sizeof(gate));
}

/* Each vector's handler has 64 bytes from 9000h. */
void guest_handler(unsigned vector, const uint8_t *code, const uint8_t *code_end)
{
	assert_in_range(code_end - code, 1, 64);
	memcpy(guest.ram + 0x9000 + vector * 64, code, (size_t)(code_end - code));
	set_gate(vector, 0x9000 + vector * 64);
}

void guest_run(void)
{
	hc_vcpu_dirty(guest.vcpu, X86_G_ALL);
	assert_int_equal(hc_vm_start(guest.vm), 0);
	test_on_idle = test_stop_loop;
	test_run_loop();
	if (hc_vm_cause(guest.vm) == HC_STOP_FAILURE)
		fail_msg("%s", hc_vm_reason(guest.vm));
	hc_vcpu_need(guest.vcpu, X86_G_ALL);
}

void guest_end(void)
{
	(void)hc_vm_stop(guest.vm, HC_STOP_REQUEST, 0);
	test_on_idle = test_stop_loop;
	test_run_loop();
	assert_int_equal(hc_vm_destroy(guest.vm), 0);
	assert_int_equal(test_allocated, 0);
	test_on_idle = NULL;
	guest.vm = NULL;
}

uint64_t guest_result(unsigned i)
{
	uint64_t value;

	memcpy(&value, guest.ram + RESULTS + i * 8, sizeof(value));
	return value;
}

bool guest_has_extensions(void)
{
	uint32_t basic[4], extended[4];

	x86_host_cpuid(1, 0, basic);
	x86_host_cpuid(0x80000001, 0, extended);
	return basic[2] >> 5 & 1 || extended[2] >> 2 & 1;
}

bool guest_can_run(void)
{
	struct hc_backend_info info;

	test_platform_init(1);
	int rc = guest_backend->probe(&info);

	printf("%s%s\n", rc ? "SKIP: " : "", info.reason);
	return !rc;
}
