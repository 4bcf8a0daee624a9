/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables of the PC (ACPI 6.4 chapter 5):
 *
 *   RSDP -> XSDT -> FADT -> DSDT        all in the BIOS area below 1 MiB, where systems that were
 *                |      `-> FACS        not told of the RSDP look for it
 *                `-> MADT
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/aml.h"
#include "arch/x86_64/x86.h"
#include "core/log.h"

#define AREA_BASE UINT64_C(0xe0000)
#define AREA_SIZE 0x2000u

#define DSDT_MAX 1024

struct sdt {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

_Static_assert(sizeof(struct sdt) == 36, "table 5.4");

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} __attribute__((packed));

_Static_assert(sizeof(struct rsdp) == 36, "table 5.3");

/* Generic address structure */
struct gas {
	uint8_t space, bits, offset, access;
	uint64_t address;
} __attribute__((packed));

#define GAS_IO 1

struct fadt {
	struct sdt header;
	uint32_t firmware_ctrl, dsdt;
	uint8_t reserved0, profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base;
	uint8_t cst_cnt;
	uint16_t p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor;
	uint64_t x_firmware_ctrl, x_dsdt;
	struct gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr, x_gpe0,
		x_gpe1;
	struct gas sleep_control, sleep_status;
	uint64_t hypervisor_id;
} __attribute__((packed));

_Static_assert(offsetof(struct fadt, pm1a_evt) == 56, "table 5.9");
_Static_assert(offsetof(struct fadt, flags) == 112, "table 5.9");
_Static_assert(offsetof(struct fadt, x_dsdt) == 140, "table 5.9");
_Static_assert(sizeof(struct fadt) == 276, "table 5.9");

/* Fixed feature flags (table 5.10). The timer has 24 bits; the power button is the fixed one. */
#define FADT_WBINVD        (1u << 0)
#define FADT_PROC_C1       (1u << 2)
#define FADT_NO_SLP_BUTTON (1u << 5)
#define FADT_RESET_REG     (1u << 10)

/* IA-PC boot architecture flags (table 5.11) */
#define BOOT_LEGACY_DEVICES (1u << 0)
#define BOOT_NO_VGA         (1u << 2)

struct facs {
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved[31];
} __attribute__((packed));

_Static_assert(sizeof(struct facs) == 64, "table 5.12");

struct madt {
	struct sdt header;
	uint32_t apic_base, flags;
} __attribute__((packed));

struct madt_cpu {
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} __attribute__((packed));

struct madt_override {
	uint8_t type, length, bus, irq;
	uint32_t gsi;
	uint16_t flags;
} __attribute__((packed));

struct madt_nmi {
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));

_Static_assert(sizeof(struct madt_cpu) == 8, "table 5.21");
_Static_assert(sizeof(struct madt_ioapic) == 12, "table 5.24");
_Static_assert(sizeof(struct madt_override) == 10, "table 5.25");
_Static_assert(sizeof(struct madt_nmi) == 6, "table 5.29");

/* --- Building blocks --- */

struct area {
	struct hc_vm *vm;
	uint64_t next;
	int rc;
};

static uint8_t checksum(const void *table, size_t len)
{
	const uint8_t *p = table;
	unsigned sum = 0;

	while (len--)
		sum += *p++;
	return (uint8_t)(0 - sum);
}

/* Copies len bytes to the next free place of the given alignment; returns where. */
static uint64_t place(struct area *a, const void *table, size_t len, uint64_t align)
{
	uint64_t at = HC_ALIGN_UP(a->next, align);

	if (!a->rc && at + len > AREA_BASE + AREA_SIZE)
		a->rc = hc_error(-ENOSPC, "vm %s: the ACPI tables take more than %u bytes",
		                 a->vm->name, AREA_SIZE);
	if (!a->rc)
		a->rc = hc_mem_write(a->vm, gpa_of(at), table, len);
	a->next = at + len;
	return at;
}

static void init_header(struct sdt *h, const char *signature, uint8_t revision, size_t len)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->signature, signature, 4);
	h->length = (uint32_t)len;
	h->revision = revision;
	memcpy(h->oem_id, "HYPERC", 6);
	memcpy(h->oem_table_id, "HYPERCOR", 8);
	h->oem_revision = 1;
	memcpy(h->creator_id, "HYPC", 4);
	h->creator_revision = 1;
}

static uint64_t place_table(struct area *a, struct sdt *h)
{
	h->checksum = 0;
	h->checksum = checksum(h, h->length);
	return place(a, h, h->length, 16);
}

/* --- DSDT --- */

static const struct {
	const char *name, *hid;
	uint16_t base;
	uint8_t len, irq, uid;
} isa_devices[] = {
	{ "RTC_", "PNP0B00", 0x70, 2, 8, 0 },
	{ "COM1", "PNP0501", 0x3f8, 8, 4, 1 },
	{ "COM2", "PNP0501", 0x2f8, 8, 3, 2 },
};

/* Is there a device model at this port? */
static bool is_present(const struct hc_vm *vm, uint16_t port)
{
	const struct hc_bus *bus = &vm->bus[HC_SPACE_IO];

	for (unsigned i = 0; i < bus->count; i++)
		if (port - bus->regions[i].base < bus->regions[i].len)
			return true;
	return false;
}

static void add_devices(struct aml *a, const struct hc_vm *vm)
{
	struct aml_block scope = aml_scope(a, "_SB_");

	for (unsigned i = 0; i < HC_ARRAY_SIZE(isa_devices); i++) {
		if (!is_present(vm, isa_devices[i].base))
			continue;
		struct aml_block device = aml_device(a, isa_devices[i].name);

		aml_name(a, "_HID");
		aml_eisa_id(a, isa_devices[i].hid);
		aml_name(a, "_UID");
		aml_integer(a, isa_devices[i].uid);
		aml_crs(a, isa_devices[i].base, isa_devices[i].len, isa_devices[i].irq);
		aml_end(a, device);
	}
	aml_end(a, scope);
}

/* \_S5: the SLP_TYP values for PM1a and PM1b, and two that are reserved (7.4.2.6). */
static void add_s5(struct aml *a)
{
	aml_name(a, "_S5_");
	struct aml_block package = aml_package(a, 4);

	aml_integer(a, X86_ACPI_S5_TYPE);
	aml_integer(a, 0);
	aml_integer(a, 0);
	aml_integer(a, 0);
	aml_end(a, package);
}

static uint64_t add_dsdt(struct area *area)
{
	struct {
		struct sdt header;
		uint8_t code[DSDT_MAX];
	} __attribute__((packed)) dsdt;
	struct aml a = { .buf = dsdt.code, .size = sizeof(dsdt.code) };

	add_s5(&a);
	add_devices(&a, area->vm);
	if (a.overflow)
		hc_panic("the DSDT does not fit %u bytes", DSDT_MAX);
	init_header(&dsdt.header, "DSDT", 2, sizeof(dsdt.header) + a.len);
	return place_table(area, &dsdt.header);
}

/* --- The others --- */

static uint64_t add_facs(struct area *area)
{
	const struct facs facs = {
		.signature = { 'F', 'A', 'C', 'S' },
		.length = sizeof(facs),
		.version = 2,
	};

	return place(area, &facs, sizeof(facs), 64);
}

static struct gas io_register(uint16_t port, uint8_t bytes)
{
	/* Access sizes: 1 byte, 2 word, 3 dword. */
	uint8_t access = bytes == 1 ? 1 : bytes == 2 ? 2 : 3;

	return (struct gas){ GAS_IO, (uint8_t)(bytes * 8), 0, access, port };
}

/* No SMI command port: ACPI mode is always on (4.8.2.5). */
static uint64_t add_fadt(struct area *area, uint64_t facs, uint64_t dsdt)
{
	struct fadt f;

	memset(&f, 0, sizeof(f));
	init_header(&f.header, "FACP", 6, sizeof(f));
	f.minor = 4;
	f.firmware_ctrl = (uint32_t)facs;
	f.dsdt = (uint32_t)dsdt;
	f.x_dsdt = dsdt;
	f.sci_int = X86_ACPI_SCI_IRQ;
	f.pm1a_evt = X86_ACPI_PM1_EVT;
	f.pm1a_cnt = X86_ACPI_PM1_CNT;
	f.pm_tmr = X86_ACPI_PM_TMR;
	f.pm1_evt_len = 4;
	f.pm1_cnt_len = 2;
	f.pm_tmr_len = 4;
	f.p_lvl2_lat = f.p_lvl3_lat = 0xffff; /* C2 and C3 are not there */
	f.century = 0x32;
	f.boot_arch = BOOT_LEGACY_DEVICES | BOOT_NO_VGA;
	f.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLP_BUTTON | FADT_RESET_REG;
	f.reset_reg = io_register(X86_ACPI_RESET_PORT, 1);
	f.reset_value = X86_ACPI_RESET_VALUE;
	f.x_pm1a_evt = io_register(X86_ACPI_PM1_EVT, 4);
	f.x_pm1a_evt.access = 2; /* status and enable are a word each */
	f.x_pm1a_cnt = io_register(X86_ACPI_PM1_CNT, 2);
	f.x_pm_tmr = io_register(X86_ACPI_PM_TMR, 4);
	return place_table(area, &f.header);
}

/* Interrupt flags: polarity in 1:0, trigger mode in 3:2 (table 5.26). */
#define MADT_CONFORMS   0x0
#define MADT_LEVEL_HIGH 0xd

struct madt_all {
	struct madt madt;
	struct madt_ioapic ioapic;
	struct madt_override override[2];
	struct madt_nmi nmi;
	struct madt_cpu cpu[X86_MAX_VCPUS];
} __attribute__((packed));

static uint64_t add_madt(struct area *area)
{
	unsigned n = area->vm->cpu_count;
	struct madt_all m;

	memset(&m, 0, sizeof(m));
	init_header(&m.madt.header, "APIC", 5, sizeof(m) - (X86_MAX_VCPUS - n) * sizeof(m.cpu[0]));
	m.madt.apic_base = (uint32_t)X86_APIC_BASE;
	m.madt.flags = 1; /* there are 8259s too */
	m.ioapic = (struct madt_ioapic){ 1, sizeof(m.ioapic),          X86_IOAPIC_ID,
		                         0, (uint32_t)X86_IOAPIC_BASE, 0 };
	m.override[0] = (struct madt_override){ 2, sizeof(m.override[0]), 0, 0, 2, MADT_CONFORMS };
	m.override[1] = (struct madt_override){
		2, sizeof(m.override[1]), 0, X86_ACPI_SCI_IRQ, X86_ACPI_SCI_IRQ, MADT_LEVEL_HIGH
	};
	m.nmi = (struct madt_nmi){ 4, sizeof(m.nmi), 0xff, MADT_CONFORMS, 1 };
	for (unsigned i = 0; i < n; i++)
		m.cpu[i] = (struct madt_cpu){ 0, sizeof(m.cpu[0]), (uint8_t)i, (uint8_t)i, 1 };
	return place_table(area, &m.madt.header);
}

static uint64_t add_xsdt(struct area *area, uint64_t fadt, uint64_t madt)
{
	struct {
		struct sdt header;
		uint64_t entry[2];
	} __attribute__((packed)) xsdt = { .entry = { fadt, madt } };

	init_header(&xsdt.header, "XSDT", 1, sizeof(xsdt));
	return place_table(area, &xsdt.header);
}

static int write_rsdp(struct hc_vm *vm, uint64_t xsdt)
{
	struct rsdp r = { .revision = 2, .length = sizeof(r), .xsdt = xsdt };

	memcpy(r.signature, "RSD PTR ", 8);
	memcpy(r.oem_id, "HYPERC", 6);
	r.checksum = checksum(&r, 20); /* of the ACPI 1.0 part */
	r.extended_checksum = checksum(&r, sizeof(r));
	return hc_mem_write(vm, gpa_of(AREA_BASE), &r, sizeof(r));
}

int x86_acpi_build(struct hc_vm *vm)
{
	struct area area = { vm, AREA_BASE + sizeof(struct rsdp), 0 };
	uint64_t dsdt = add_dsdt(&area);
	uint64_t facs = add_facs(&area);
	uint64_t fadt = add_fadt(&area, facs, dsdt);
	uint64_t madt = add_madt(&area);
	uint64_t xsdt = add_xsdt(&area, fadt, madt);

	if (!area.rc)
		area.rc = write_rsdp(vm, xsdt);
	if (area.rc == -EFAULT)
		return hc_error(area.rc, "vm %s: no RAM at %#llx for the ACPI tables", vm->name,
		                (unsigned long long)AREA_BASE);
	if (!area.rc)
		x86_vm_of(vm)->rsdp = AREA_BASE;
	return area.rc;
}
