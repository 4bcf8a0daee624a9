/* SPDX-License-Identifier: BSD-2-Clause */
/* Serial ports on PCI cards, against a bus of random functions. */
#include "tests/unit.h"

#include <string.h>

#include "platform/board/pci_serial.h"

#define IO_BASE 0x3eff0000u
#define IO_SIZE 0x10000u

/* A function: what of its configuration space matters here. */
struct card {
	bool there, is_multi, is_serial, is_bridge;
	uint32_t command; /* and the status, whose bits ones clear */
	uint32_t bar, bar_size;
	bool bar_is_io, upper_is_wired; /* upper: bits 31:16 of the BAR */
};

struct bus {
	struct card cards[256];
	unsigned stray; /* writes to what nobody should write to */
};

static struct card *card_of(struct bus *bus, uint32_t at)
{
	assert_true(at < PCI_BUS_SIZE && at % 4 == 0);
	return &bus->cards[at >> 12];
}

static uint32_t bus_read(void *arg, uint32_t at)
{
	const struct card *c = card_of(arg, at);

	if (!c->there)
		return UINT32_MAX;
	switch (at & 0xfff) {
	case 0x00: return 0x00021b36;
	case 0x04: return c->command;
	case 0x08: return (c->is_serial ? 0x07000201u : 0x02000001u);
	case 0x0c: return (c->is_multi ? 0x800000u : 0) | (c->is_bridge ? 0x10000u : 0);
	case 0x10: return c->bar | c->bar_is_io;
	default: return 0;
	}
}

static void bus_write(void *arg, uint32_t at, uint32_t value)
{
	struct bus *bus = arg;
	struct card *c = card_of(bus, at);

	if (!c->there || !c->is_serial)
		bus->stray++;
	else if ((at & 0xfff) == 0x04)
		c->command = ((c->command & ~value) & 0xffff0000u) | (value & 0xffff);
	else if ((at & 0xfff) == 0x10 && (c->command & 1))
		bus->stray++; /* it would answer wherever that leads */
	else if ((at & 0xfff) == 0x10)
		c->bar = value & ~(c->bar_size - 1) & (c->upper_is_wired ? 0xffffu : UINT32_MAX) &
		         ~3u;
	else
		bus->stray++;
}

static struct card random_card(uint64_t *seed)
{
	struct card c = {
		.there = test_below(seed, 2),
		.is_multi = test_below(seed, 2),
		.is_serial = test_below(seed, 3),
		.is_bridge = test_below(seed, 8) == 0,
		.command = (uint32_t)test_random(seed),
		.bar_size = 4u << test_below(seed, 7),
		.bar_is_io = test_below(seed, 4),
		.upper_is_wired = test_below(seed, 2),
	};

	if (test_below(seed, 2))
		c.bar = (uint32_t)test_below(seed, 0x12000) & ~(c.bar_size - 1) & ~3u;
	if (c.upper_is_wired)
		c.bar &= 0xffff;
	return c;
}

static bool is_wanted(const struct bus *bus, unsigned n)
{
	const struct card *c = &bus->cards[n], *first = &bus->cards[n & ~7u];
	bool reachable = n % 8 == 0 || (first->there && first->is_multi);

	return reachable && c->there && c->is_serial && !c->is_bridge && c->bar_is_io &&
	       c->bar_size >= 8 && c->bar_size <= 128;
}

/* Every port lies in a range of its own that its card answers in, in the window, and is enabled. */
static void check(const struct bus *bus, const struct bus *before, const uint64_t *found,
                  unsigned count, unsigned most)
{
	unsigned at = 0;

	for (unsigned n = 0; n < 256; n++) {
		const struct card *c = &bus->cards[n];

		if (!is_wanted(bus, n))
			assert_int_equal(c->command, before->cards[n].command);
		if (!is_wanted(bus, n) || c->bar + c->bar_size > IO_SIZE)
			continue;
		if (before->cards[n].bar)
			assert_int_equal(c->bar, before->cards[n].bar);
		assert_true(c->bar && c->command & 1);
		assert_int_equal(c->command >> 16, before->cards[n].command >> 16);
		for (uint32_t port = 0; port < c->bar_size && at < most; port += 8)
			assert_int_equal(found[at++], IO_BASE + c->bar + port);
	}
	assert_int_equal(at, count);
	assert_int_equal(bus->stray, 0);
}

static void test_random_buses(void **state)
{
	static const struct pci_host host = { .ecam_size = PCI_BUS_SIZE,
		                              .io = IO_BASE,
		                              .io_size = IO_SIZE };
	static struct bus bus, before;
	uint64_t seed = 7, found[64];

	for (unsigned round = 0; round < test_rounds(300); round++) {
		const struct pci_config config = { bus_read, bus_write, &bus };
		unsigned most = (unsigned)test_below(&seed, 65),
			 density = 1u << test_below(&seed, 9);

		memset(&bus, 0, sizeof(bus));
		for (unsigned n = 0; n < 256; n++)
			if (!test_below(&seed, density))
				bus.cards[n] = random_card(&seed);
		before = bus;
		check(&bus, &before, found, pci_serial_find(&host, &config, found, most), most);
	}
}

/* As QEMU's pci-serial-4x comes up on a machine without firmware. */
static void test_four_ports(void **state)
{
	static const struct pci_host host = { .ecam_size = PCI_BUS_SIZE,
		                              .io = IO_BASE,
		                              .io_size = IO_SIZE };
	struct bus bus = {
		.cards[8] = { .there = true, .is_serial = true, .bar_is_io = true, .bar_size = 32 }
	};
	const struct pci_config config = { bus_read, bus_write, &bus };
	uint64_t found[8];

	assert_int_equal(pci_serial_find(&host, &config, found, 8), 4);
	for (unsigned n = 0; n < 4; n++)
		assert_int_equal(found[n], IO_BASE + 0x1000 + 8 * n);
	assert_int_equal(bus.cards[8].command, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_buses),
		cmocka_unit_test(test_four_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
