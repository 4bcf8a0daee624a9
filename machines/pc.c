/* SPDX-License-Identifier: BSD-2-Clause */
#include "machines/pc.h"

#include "arch/x86_64/x86.h"
#include "core/device.h"
#include "core/log.h"
#include "devices/acpi_pm.h"
#include "devices/debugcon.h"
#include "devices/exit_port.h"
#include "devices/i8042.h"
#include "devices/i8254.h"
#include "devices/i8259.h"
#include "devices/ioapic.h"
#include "devices/mc146818.h"
#include "devices/pc_testdev.h"
#include "devices/shutdown_port.h"
#include "devices/uart16550.h"

/* Where a PC has its serial ports (ISA). */
static const struct {
	uint16_t base;
	uint8_t line;
} com_ports[2] = { { 0x3f8, 4 }, { 0x2f8, 3 } };

static int add_serial(struct hc_vm *vm, const struct machine_config *config)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < HC_ARRAY_SIZE(com_ports); i++) {
		const struct uart16550_config c = { com_ports[i].base, com_ports[i].line,
			                            config->serial[i], HC_SPACE_IO };

		if (c.chr)
			rc = uart16550_create(vm, &c, NULL);
	}
	return rc;
}

static int add_clock(struct hc_vm *vm, uint64_t memory)
{
	const struct mc146818_config c = {
		.ram_low = hc_min(memory, X86_RAM_LOW_END),
		.ram_high = memory > X86_RAM_LOW_END ? memory - X86_RAM_LOW_END : 0,
	};

	return mc146818_create(vm, &c);
}

static int add_power(struct hc_vm *vm)
{
	static const struct acpi_pm_config c = {
		.evt_port = X86_ACPI_PM1_EVT,
		.cnt_port = X86_ACPI_PM1_CNT,
		.tmr_port = X86_ACPI_PM_TMR,
		.reset_port = X86_ACPI_RESET_PORT,
		.reset_value = X86_ACPI_RESET_VALUE,
		.s5_type = X86_ACPI_S5_TYPE,
		.sci_line = X86_ACPI_SCI_IRQ,
	};

	return acpi_pm_create(vm, &c, NULL);
}

/* What test kernels know. */
static int add_test_devices(struct hc_vm *vm, const struct machine_config *config)
{
	const struct machine_devices *d = &config->devices;
	int rc = shutdown_port_create(vm);

	if (!rc && d->debug_exit_size)
		rc = debug_exit_create(vm, d->debug_exit, d->debug_exit_size);
	else if (!rc && config->exit_at)
		rc = exit_port_create(vm, HC_SPACE_IO, config->exit_at);
	if (!rc && d->testdev)
		rc = pc_testdev_create(vm);
	return rc;
}

static int add_devices(struct hc_vm *vm, const struct machine_config *config)
{
	const struct ioapic_config ioapic = { X86_IOAPIC_BASE, X86_IOAPIC_ID };
	int rc = i8259_create(vm);

	if (!rc)
		rc = ioapic_create(vm, &ioapic);
	if (!rc)
		rc = i8254_create(vm);
	if (!rc)
		rc = add_clock(vm, config->memory);
	if (!rc)
		rc = add_power(vm);
	if (!rc)
		rc = i8042_create(vm);
	if (!rc)
		rc = add_serial(vm, config);
	if (!rc && config->debugcon)
		rc = debugcon_create(vm, config->debugcon);
	return rc ? rc : add_test_devices(vm, config);
}

static int load(struct hc_vm *vm, const struct machine_config *config)
{
	const struct x86_boot boot = {
		.kernel = config->kernel,
		.kernel_size = config->kernel_size,
		.initrd = config->initrd,
		.initrd_size = config->initrd_size,
		.cmdline = config->cmdline,
		.initrd_name = config->initrd_name,
	};

	return x86_load_kernel(vm, &boot);
}

static int furnish(struct hc_vm *vm, const struct machine_config *config)
{
	int rc = x86_add_ram(vm, config->memory);

	if (!rc)
		rc = add_devices(vm, config);
	if (!rc)
		rc = x86_acpi_build(vm);
	if (!rc)
		rc = load(vm, config);
	if (!rc)
		hc_devices_reset(vm);
	if (!rc && config->switch_ns)
		rc = hc_vm_switch_every(vm, config->switch_ns);
	if (!rc && config->dirty_ns)
		rc = hc_vm_dirty_every(vm, config->dirty_ns);
	return rc;
}

int pc_create(struct hc_vm **out, const struct hc_backend_ops *backend,
              const struct machine_config *config)
{
	const struct hc_vm_config c = {
		.name = config->name,
		.arch = &x86_arch_ops,
		.backend = backend,
		.cpus = config->cpus,
		.other = config->other,
		.tsc_hz = config->tsc_hz,
	};
	struct hc_vm *vm;
	int rc = hc_vm_create(&vm, &c);

	if (rc)
		return rc;
	if (config->small_pages)
		hc_vm_use_small_pages(vm);
	rc = furnish(vm, config);
	if (rc) {
		hc_vm_destroy(vm);
		return rc;
	}
	*out = vm;
	return 0;
}
