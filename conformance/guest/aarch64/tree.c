/* SPDX-License-Identifier: BSD-2-Clause */
/* The device tree (Devicetree Specification 0.4, chapter 5): what the kernel needs of it. */
#include "guest/aarch64/machine.h"
#include "guest/print.h"

#define FDT_MAGIC      0xd00dfeedu
#define FDT_BEGIN_NODE 1u
#define FDT_END_NODE   2u
#define FDT_PROP       3u
#define FDT_NOP        4u
#define DEPTH_MAX      8u

struct property {
	const uint8_t *value;
	uint32_t bytes;
};

/* A node's, while it is read; those of the inner nodes come between. */
struct node {
	const char *name;
	struct property reg, compatible, device_type, interrupts, status, method, bootargs;
	uint32_t address_cells, size_cells; /* of its children */
};

struct tree {
	const uint8_t *at, *end;
	const char *strings;
	char *line;
	uint64_t line_size;
	struct node nodes[DEPTH_MAX];
};

static uint32_t be32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool same(const char *a, const char *b)
{
	return strncmp(a, b, 64) == 0;
}

/* Whether one of a list of strings is this one. */
static bool lists(struct property list, const char *text)
{
	size_t length = strlen(text) + 1;

	for (uint32_t at = 0; at + length <= list.bytes;) {
		if (memcmp(list.value + at, text, length) == 0)
			return true;
		while (at < list.bytes && list.value[at])
			at++;
		at++;
	}
	return false;
}

static uint64_t cells(struct property from, uint32_t first, uint32_t count)
{
	uint64_t value = 0;

	for (uint32_t n = first; n < first + count && n * 4 + 4 <= from.bytes; n++)
		value = value << 32 | be32(from.value + n * 4);
	return value;
}

/* Entry n of reg, by the parent's cells. */
static uint64_t reg_address(const struct node *node, uint32_t n)
{
	uint32_t each = node[-1].address_cells + node[-1].size_cells;

	return cells(node->reg, n * each, node[-1].address_cells);
}

static uint64_t reg_size(const struct node *node, uint32_t n)
{
	uint32_t each = node[-1].address_cells + node[-1].size_cells;

	return cells(node->reg, n * each + node[-1].address_cells, node[-1].size_cells);
}

/* Of three cells: type, number, flags. */
static unsigned int intid(const struct node *node, uint32_t n)
{
	if (node->interrupts.bytes < (n + 1) * 12)
		return 0;
	return (unsigned int)(cells(node->interrupts, n * 3 + 1, 1) +
	                      (cells(node->interrupts, n * 3, 1) ? 16 : 32));
}

static void read_memory(const struct node *node)
{
	uint32_t each = 4 * (node[-1].address_cells + node[-1].size_cells);

	for (uint32_t n = 0; each && (n + 1) * each <= node->reg.bytes && machine.ram_count < 8;
	     n++) {
		machine.ram[machine.ram_count].start = reg_address(node, n);
		machine.ram[machine.ram_count++].bytes = reg_size(node, n);
	}
}

static void read_gic(const struct node *node, unsigned int version)
{
	machine.gic_version = version;
	machine.gicd = reg_address(node, 0);
	machine.gicr = version == 3 ? reg_address(node, 1) : 0;
	machine.gicr_bytes = version == 3 ? reg_size(node, 1) : 0;
	machine.gicc = version == 2 ? reg_address(node, 1) : 0;
}

static void read_line(struct tree *tree, struct property from)
{
	uint64_t n = 0;

	if (tree->line[0])
		return;
	for (; n < from.bytes && n + 1 < tree->line_size && from.value[n]; n++)
		tree->line[n] = (char)from.value[n];
	tree->line[n] = '\0';
}

/* A node is whole. */
static void read_node(struct tree *tree, const struct node *node)
{
	if (node->status.value && !lists(node->status, "okay") && !lists(node->status, "ok"))
		return;
	if (lists(node->device_type, "memory"))
		read_memory(node);
	else if (lists(node->device_type, "cpu") && machine.cpu_count < CPUS_MAX)
		machine.mpidr[machine.cpu_count++] = reg_address(node, 0);
	else if (lists(node->compatible, "arm,pl011") && !machine.uart) {
		machine.uart = reg_address(node, 0);
		machine.uart_irq = intid(node, 0);
	} else if (lists(node->compatible, "arm,pl031")) {
		machine.rtc = reg_address(node, 0);
		machine.rtc_irq = intid(node, 0);
	} else if (lists(node->compatible, "arm,gic-v3"))
		read_gic(node, 3);
	else if (lists(node->compatible, "arm,cortex-a15-gic") ||
	         lists(node->compatible, "arm,gic-400"))
		read_gic(node, 2);
	else if (lists(node->compatible, "arm,armv8-timer")) {
		machine.timer_physical = intid(node, 1);
		machine.timer_virtual = intid(node, 2);
	} else if (lists(node->compatible, "arm,psci-0.2") ||
	           lists(node->compatible, "arm,psci-1.0"))
		machine.conduit = lists(node->method, "smc")   ? CONDUIT_SMC
		                  : lists(node->method, "hvc") ? CONDUIT_HVC
		                                               : CONDUIT_NONE;
	else if (same(node->name, "chosen") && node->bootargs.value)
		read_line(tree, node->bootargs);
}

static void read_property(struct node *node, const char *name, struct property value)
{
	const struct {
		const char *name;
		struct property *to;
	} kept[] = {
		{ "reg", &node->reg },
		{ "compatible", &node->compatible },
		{ "device_type", &node->device_type },
		{ "interrupts", &node->interrupts },
		{ "status", &node->status },
		{ "method", &node->method },
		{ "bootargs", &node->bootargs },
	};

	if (same(name, "#address-cells"))
		node->address_cells = (uint32_t)cells(value, 0, 1);
	if (same(name, "#size-cells"))
		node->size_cells = (uint32_t)cells(value, 0, 1);
	for (unsigned int n = 0; n < sizeof(kept) / sizeof(kept[0]); n++)
		if (same(name, kept[n].name))
			*kept[n].to = value;
}

static const uint8_t *align4(const uint8_t *at)
{
	return (const uint8_t *)(((uint64_t)at + 3) & ~UINT64_C(3));
}

/* Whatever is deeper than DEPTH_MAX is passed over. */
static bool walk(struct tree *tree)
{
	unsigned int depth = 0;

	while (tree->at + 4 <= tree->end) {
		uint32_t token = be32(tree->at);

		tree->at += 4;
		if (token == FDT_BEGIN_NODE) {
			const char *name = (const char *)tree->at;

			if (++depth < DEPTH_MAX)
				tree->nodes[depth] = (struct node){ .name = name,
					                            .address_cells = 2,
					                            .size_cells = 1 };
			tree->at = align4(tree->at + strlen(name) + 1);
		} else if (token == FDT_END_NODE) {
			if (depth < DEPTH_MAX)
				read_node(tree, &tree->nodes[depth]);
			if (!depth || !--depth)
				return true;
		} else if (token == FDT_PROP) {
			struct property value = { tree->at + 8, be32(tree->at) };

			if (depth && depth < DEPTH_MAX)
				read_property(&tree->nodes[depth],
				              tree->strings + be32(tree->at + 4), value);
			tree->at = align4(value.value + value.bytes);
		} else if (token != FDT_NOP) {
			return false;
		}
	}
	return false;
}

bool tree_read(uint64_t where, char *line, uint64_t size)
{
	static struct tree tree;
	const uint8_t *header = (const uint8_t *)where;

	if (!where || be32(header) != FDT_MAGIC)
		return false;
	tree.at = header + be32(header + 8);
	tree.strings = (const char *)header + be32(header + 12);
	tree.end = header + be32(header + 4);
	tree.line = line;
	tree.line_size = size;
	return walk(&tree) && machine.uart;
}
