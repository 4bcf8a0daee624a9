/* SPDX-License-Identifier: BSD-2-Clause */
#include "machines/virt.h"

#include <hypercore/errno.h>

#include "arch/aarch64/gic/gic.h"
#include "core/device.h"
#include "core/log.h"
#include "devices/exit_port.h"
#include "devices/pl011.h"
#include "devices/pl031.h"
#include "devices/uart16550.h"
#include "machines/virt_tree.h"

#define MIN_GPA_BITS 32 /* of hc_vm_config.gpa_bits */

/* A backend may have none: its guests poll. */
static int add_gic(struct hc_vm *vm)
{
	const struct hc_backend_info *info = &vm->info;
	const struct gic_config c = {
		.version = info->gic_version,
		.spis = HC_IRQ_LINES,
		.list_registers = info->gic_list_registers,
		.priority_bits = info->gic_priority_bits,
		.dist = VIRT_GICD,
		.redist = VIRT_GICR,
	};
	int rc;

	a64_set_gic_version(vm, c.version);
	rc = c.version ? gic_create(vm, &c) : 0;
	if (!rc && info->gic_version == 2 && !info->gicv.v)
		rc = gic_add_cpu_interface(vm, VIRT_GICC);
	else if (!rc && info->gic_version == 2)
		rc = hc_vm_map_device(vm, gpa_of(VIRT_GICC), GICC_SIZE, info->gicv);
	return rc;
}

static int add_serial(struct hc_vm *vm, const struct machine_config *config)
{
	const struct pl011_config first = { VIRT_PL011, VIRT_PL011_SPI, config->serial[0] };
	const struct uart16550_config second = { VIRT_UART, VIRT_UART_SPI, config->serial[1],
		                                 HC_SPACE_MEMORY };
	int rc = first.chr ? pl011_create(vm, &first) : 0;

	if (!rc && second.chr)
		rc = uart16550_create(vm, &second, NULL);
	return rc;
}

static int check_devices(const struct hc_vm *vm, const struct machine_devices *d)
{
	if (!d->debug_exit_size && !d->testdev)
		return 0;
	return hc_error(-EINVAL,
	                "vm %s: %s is a device of PCs; the kernel is for AArch64, whose exit "
	                "device is always there",
	                vm->name, d->testdev ? "testdev" : "isa-debug-exit");
}

static int add_devices(struct hc_vm *vm, const struct machine_config *config)
{
	const struct pl031_config clock = { VIRT_PL031, VIRT_PL031_SPI };
	int rc = check_devices(vm, &config->devices);

	if (!rc)
		rc = add_serial(vm, config);
	if (!rc)
		rc = pl031_create(vm, &clock);
	if (!rc && config->exit_at)
		rc = exit_port_create(vm, HC_SPACE_MEMORY, config->exit_at);
	return rc;
}

static int load(struct hc_vm *vm, const struct machine_config *config)
{
	struct virt_tree tree = { vm, config };
	const struct a64_boot boot = {
		.ram = gpa_of(VIRT_RAM),
		.ram_size = config->memory,
		.kernel = config->kernel,
		.kernel_size = config->kernel_size,
		.initrd = config->initrd,
		.initrd_size = config->initrd_size,
		.make_tree = virt_tree_write,
		.arg = &tree,
	};

	return a64_load_linux(vm, &boot);
}

static int furnish(struct hc_vm *vm, const struct machine_config *config)
{
	int rc = a64_add_ram(vm, gpa_of(VIRT_RAM), config->memory);

	if (!rc)
		rc = add_gic(vm);
	if (!rc)
		rc = add_devices(vm, config);
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

/* All memory is below 2^this; 0: nobody has so much. */
static unsigned memory_bits(const struct machine_config *config)
{
	uint64_t last = VIRT_RAM + (config->memory - 1);
	unsigned bits = MIN_GPA_BITS;

	if (last < VIRT_RAM)
		return 0;
	while (bits < 64 && last >> bits)
		bits++;
	return bits;
}

int virt_create(struct hc_vm **out, const struct hc_backend_ops *backend,
                const struct machine_config *config)
{
	const struct hc_vm_config c = {
		.name = config->name,
		.arch = &a64_arch_ops,
		.backend = backend,
		.cpus = config->cpus,
		.other = config->other,
		.tsc_hz = config->tsc_hz,
		.gpa_bits = memory_bits(config),
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
