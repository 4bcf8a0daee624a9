/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/fdt_node.h"

#include <hypercore/errno.h>
#include <libfdt.h> /* mem*() and str*() as well, of the build's kind */

#include "core/log.h"

/* --- Properties --- */

/* Property values are aligned to 4 bytes at best, and big-endian. */
uint64_t dt_number(const uint8_t *p, unsigned cells)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 4 * cells; i++)
		v = v << 8 | p[i];
	return v;
}

const uint8_t *dt_property(const struct dt_walk *w, int node, const char *name, unsigned *len)
{
	int n;
	const void *p = fdt_getprop(w->blob, node, name, &n);

	*len = p && n > 0 ? (unsigned)n : 0;
	return p;
}

bool dt_u32(const struct dt_walk *w, int node, const char *name, uint32_t *value)
{
	unsigned len;
	const uint8_t *p = dt_property(w, node, name, &len);

	if (len != 4)
		return false;
	*value = (uint32_t)dt_number(p, 1);
	return true;
}

bool dt_u64(const struct dt_walk *w, int node, const char *name, uint64_t *value)
{
	unsigned len;
	const uint8_t *p = dt_property(w, node, name, &len);

	if (len != 4 && len != 8)
		return false;
	*value = dt_number(p, len / 4);
	return true;
}

const char *dt_string(const struct dt_walk *w, int node, const char *name)
{
	unsigned len;
	const char *s = (const char *)dt_property(w, node, name, &len);

	return len && strnlen(s, len) < len ? s : NULL;
}

bool dt_is_compatible(const struct dt_walk *w, const char *compatible)
{
	const struct dt_value *v = &w->level[w->depth].compatible;

	return v->p && fdt_stringlist_contains(v->p, v->len, compatible);
}

int dt_node_error(const struct dt_walk *w, int err, const char *fmt, ...)
{
	char path[96], text[128];
	va_list ap;

	if (fdt_get_path(w->blob, dt_here(w), path, sizeof(path)))
		path[0] = 0; /* longer than that */
	for (char *c = path; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	va_start(ap, fmt);
	hc_vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return hc_error(err, "device tree, node %s: %s", path[0] ? path : "(deep)", text);
}

/* --- The walk --- */

/* What a walk wants to know of each node. It is found in one pass: libfdt looks for a property from
 * the node's first one on, and asks for each what it is called. */
struct common {
	struct dt_value status, compatible, address_cells, size_cells, interrupt_cells,
		interrupt_parent;
};

/* A property that is there twice is what it is first, as for fdt_getprop(). */
static void note(struct common *c, const char *name, struct dt_value value)
{
	const struct {
		const char *name;
		struct dt_value *value;
	} wanted[] = { { "status", &c->status },
		       { "compatible", &c->compatible },
		       { "#address-cells", &c->address_cells },
		       { "#size-cells", &c->size_cells },
		       { "#interrupt-cells", &c->interrupt_cells },
		       { "interrupt-parent", &c->interrupt_parent } };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(wanted); i++)
		if (!strcmp(name, wanted[i].name) && !wanted[i].value->p)
			*wanted[i].value = value;
}

static struct common read_common(const struct dt_walk *w, int node)
{
	struct common c = { 0 };
	int at;

	fdt_for_each_property_offset(at, w->blob, node)
	{
		const char *name;
		int len;
		const void *p = fdt_getprop_by_offset(w->blob, at, &name, &len);

		if (p)
			note(&c, name, (struct dt_value){ p, len });
	}
	return c;
}

static bool says(const struct dt_value *v, const char *word)
{
	return v->len > 0 && strnlen(v->p, (size_t)v->len) < (size_t)v->len && !strcmp(v->p, word);
}

static bool is_enabled(const struct common *c)
{
	return !c->status.p || says(&c->status, "okay") || says(&c->status, "ok");
}

static uint32_t number_or(const struct dt_value *v, uint32_t otherwise)
{
	return v->len == 4 ? (uint32_t)dt_number(v->p, 1) : otherwise;
}

/* What the nodes below this one take for the parent of their interrupts (Devicetree Specification
 * 2.4.1): a controller or nexus above them, else what the node above says. */
static uint32_t inherited_parent(const struct dt_walk *w, unsigned depth)
{
	const struct dt_level *l = &w->level[depth];

	return l->takes_interrupts ? fdt_get_phandle(w->blob, l->node) : l->interrupt_parent;
}

/* Devicetree Specification 2.3.5: what is not said is 2 and 1, not what the parent has. */
static void enter(struct dt_walk *w, int node, unsigned depth, const struct common *c)
{
	uint32_t inherited = depth ? inherited_parent(w, depth - 1) : 0;

	w->depth = depth;
	w->level[depth] = (struct dt_level){
		.node = node,
		.address_cells = number_or(&c->address_cells, 2),
		.size_cells = number_or(&c->size_cells, 1),
		.interrupt_parent = number_or(&c->interrupt_parent, inherited),
		.takes_interrupts = c->interrupt_cells.p != NULL,
		.compatible = c->compatible,
	};
}

int dt_walk(struct dt_walk *w, dt_visit_fn fn, void *arg)
{
	int depth = 0, skip = DT_DEPTH; /* nodes from this depth on are not visited */

	for (int node = 0; node >= 0 && depth >= 0; node = fdt_next_node(w->blob, node, &depth)) {
		if (depth >= skip)
			continue;
		skip = DT_DEPTH;
		struct common c = read_common(w, node);

		if (!is_enabled(&c)) {
			skip = depth + 1;
			continue;
		}
		enter(w, node, (unsigned)depth, &c);
		int rc = fn(w, arg);

		if (rc)
			return rc;
	}
	return 0;
}

/* --- reg --- */

int dt_bus_region(const struct dt_walk *w, unsigned n, struct dt_region *out)
{
	unsigned len, above = w->depth - 1;
	const uint8_t *p = dt_property(w, dt_here(w), "reg", &len);

	if (!w->depth || !len || w->level[above].address_cells - 1 > 1 ||
	    w->level[above].size_cells - 1 > 1)
		return -ENOENT;
	unsigned a = w->level[above].address_cells, s = w->level[above].size_cells;

	if (len % (4 * (a + s)))
		return dt_node_error(w, -EPROTO, "reg has %u bytes, no multiple of %u cells", len,
		                     a + s);
	if (n >= len / (4 * (a + s)))
		return -ENOENT;
	p += 4 * (a + s) * n;
	*out = (struct dt_region){ dt_number(p, a), dt_number(p + 4 * a, s) };
	if (out->base + out->size < out->base)
		return dt_node_error(w, -EPROTO, "%#llx bytes at %#llx wrap",
		                     (unsigned long long)out->size, (unsigned long long)out->base);
	return 0;
}

/* From the addresses below the bus at this depth to those above it (Devicetree Specification
 * 2.3.8). */
static int translate(const struct dt_walk *w, unsigned depth, struct dt_region *r)
{
	unsigned len, a = w->level[depth].address_cells, s = w->level[depth].size_cells,
		      up = w->level[depth - 1].address_cells;
	const uint8_t *p = dt_property(w, w->level[depth].node, "ranges", &len);

	if (!p || a - 1 > 1 || s - 1 > 1 || up - 1 > 1)
		return -ENOENT;
	if (!len)
		return 0; /* the same addresses */
	for (unsigned row = 4 * (a + up + s); len >= row; len -= row, p += row) {
		uint64_t from = dt_number(p, a), to = dt_number(p + 4 * a, up),
			 size = dt_number(p + 4 * (a + up), s);

		if (r->base < from || r->base - from >= size || r->size > size - (r->base - from))
			continue;
		r->base = to + (r->base - from);
		if (r->base < to || r->base + r->size < r->base)
			return dt_node_error(w, -EPROTO, "the ranges above it wrap at %#llx",
			                     (unsigned long long)to);
		return 0;
	}
	return -ENOENT;
}

int dt_cpu_region(const struct dt_walk *w, unsigned n, struct dt_region *out)
{
	int rc = dt_bus_region(w, n, out);

	for (unsigned d = w->depth - 1; !rc && d > 0; d--)
		rc = translate(w, d, out);
	return rc;
}

/* --- Interrupts --- */

#define GIC_CELLS_MAX 16 /* more than any controller has */

/* The GIC's binding: kind, number, flags. */
static int gic_interrupt(const struct dt_walk *w, const uint8_t *p, struct board_irq *out)
{
	uint32_t kind = (uint32_t)dt_number(p, 1), n = (uint32_t)dt_number(p + 4, 1);
	static const struct {
		uint32_t first, count;
	} kinds[] = { { 32, 988 }, { 16, 16 } };

	if (kind == 2 || kind == 3) /* GICv3.1's extended ranges */
		return -ENOENT;
	if (kind >= HC_ARRAY_SIZE(kinds) || n >= kinds[kind].count)
		return dt_node_error(w, -EPROTO, "no interrupt of the GIC is <%u %u>", kind, n);
	out->intid = kinds[kind].first + n;
	out->edge = dt_number(p + 8, 1) & 3;
	return 0;
}

static uint32_t cells_of(const struct dt_walk *w, uint32_t phandle)
{
	uint32_t cells = 0;
	int node = fdt_node_offset_by_phandle(w->blob, phandle);

	if (node >= 0)
		dt_u32(w, node, "#interrupt-cells", &cells);
	return cells;
}

/* Each entry names its controller, which says how long the entry is. */
static int extended(const struct dt_walk *w, const uint8_t *p, unsigned len, unsigned n,
                    struct board_irq *out)
{
	for (;; n--) {
		if (!len)
			return -ENOENT;
		uint32_t to = len >= 4 ? (uint32_t)dt_number(p, 1) : 0;
		uint32_t cells = to && to == w->gic ? w->gic_cells : cells_of(w, to);

		if (!to || cells > GIC_CELLS_MAX || len < 4 * (1 + cells))
			return dt_node_error(w, -EPROTO,
			                     "interrupts-extended is no list of interrupts");
		if (!n)
			return to == w->gic ? gic_interrupt(w, p + 4, out) : -ENOENT;
		p += 4 * (1 + cells);
		len -= 4 * (1 + cells);
	}
}

int dt_interrupt(const struct dt_walk *w, unsigned n, struct board_irq *out)
{
	unsigned len;
	const uint8_t *p = dt_property(w, dt_here(w), "interrupts-extended", &len);

	*out = (struct board_irq){ 0 };
	if (!w->gic)
		return -ENOENT;
	if (p)
		return extended(w, p, len, n, out);
	p = dt_property(w, dt_here(w), "interrupts", &len);
	/* The controller's own interrupt is its own, whatever it inherits. */
	if (!p || (dt_here(w) != w->gic_node && w->level[w->depth].interrupt_parent != w->gic))
		return -ENOENT;
	if (len % (4 * w->gic_cells))
		return dt_node_error(w, -EPROTO, "interrupts has %u bytes, no multiple of %u cells",
		                     len, w->gic_cells);
	if (n >= len / (4 * w->gic_cells))
		return -ENOENT;
	return gic_interrupt(w, p + 4 * w->gic_cells * n, out);
}
