/* SPDX-License-Identifier: BSD-2-Clause */
#include <hypercore/freestanding.h>

#include "core/log.h"
#include "platform/linux/backends.h"

#define MAX_BACKENDS 8

/* One that can be used, and how fast it is. */
struct candidate {
	const struct hc_backend_ops *backend;
	struct linux_speed speed;
};

/* A line that is put together piece by piece; what does not fit is left out. */
struct text {
	char buf[192];
	size_t used;
};

#define ADD(t, ...)                                                                                \
	((t)->used += (size_t)hc_snprintf(                                                         \
		 (t)->buf + hc_min((t)->used, sizeof((t)->buf) - 1),                               \
		 sizeof((t)->buf) - hc_min((t)->used, sizeof((t)->buf) - 1), __VA_ARGS__))

/* Those that cannot be used go into unusable, with the reason. */
static unsigned find_usable(enum hc_isa isa, struct candidate *c, struct text *unusable)
{
	unsigned n = 0;

	for (unsigned i = 0; linux_backends[i].ops && n < MAX_BACKENDS; i++) {
		const struct hc_backend_ops *b = linux_backends[i].ops;
		struct hc_backend_info info = { 0 };

		if (linux_backends[i].by_name_only || b->isa != isa)
			continue;
		if (b->probe(&info))
			ADD(unusable, "; not %s: %s", b->name, info.reason);
		else
			c[n++] = (struct candidate){ b, { 0 } };
	}
	return n;
}

static unsigned long long millions(const struct candidate *c)
{
	return (c->speed.instructions + 500000) / 1000000;
}

/* The fastest; of equals the one that stands first. */
static const struct candidate *fastest(struct candidate *c, unsigned n)
{
	const struct candidate *best = &c[0];

	for (unsigned i = 0; i < n; i++) {
		/* What cannot run the measuring guest counts as infinitely slow. */
		if (linux_measure(c[i].backend, &c[i].speed))
			c[i].speed.instructions = 0;
		if (c[i].speed.instructions > best->speed.instructions)
			best = &c[i];
	}
	return best;
}

static void say_why(const struct candidate *c, unsigned n, const struct candidate *best,
                    const struct text *unusable)
{
	struct text others = { 0 };

	for (unsigned i = 0; i < n; i++)
		if (&c[i] != best)
			ADD(&others, "%s%llu by %s", others.used ? ", " : "", millions(&c[i]),
			    c[i].backend->name);
	hc_log(HC_LOG_INFO,
	       "backend %s: chosen by measurement: %llu M loop instructions/s against %s%s",
	       best->backend->name, millions(best), others.buf, unusable->buf);
}

static const char *isa_name(enum hc_isa isa)
{
	return isa == HC_ISA_X86_64 ? "x86-64" : "AArch64";
}

static int no_backend(enum hc_isa isa, const struct text *unusable)
{
	struct text by_name = { 0 };

	for (unsigned i = 0; linux_backends[i].ops; i++)
		if (linux_backends[i].ops->isa == isa && linux_backends[i].by_name_only)
			ADD(&by_name, "; there is --backend %s", linux_backends[i].ops->name);
	return hc_error(-ENODEV, "no backend runs any %s guest on this machine%s%s", isa_name(isa),
	                unusable->buf, by_name.buf);
}

static int choose_any(enum hc_isa isa, const struct hc_backend_ops **chosen)
{
	struct candidate c[MAX_BACKENDS];
	struct text unusable = { 0 };
	unsigned n = find_usable(isa, c, &unusable);

	if (!n)
		return no_backend(isa, &unusable);
	if (n == 1) {
		hc_log(HC_LOG_INFO, "backend %s: the only one that can be used here%s",
		       c[0].backend->name, unusable.buf);
		*chosen = c[0].backend;
		return 0;
	}
	const struct candidate *best = fastest(c, n);

	if (!best->speed.instructions)
		return hc_error(-ENODEV, "no backend could run the measuring guest");
	say_why(c, n, best, &unusable);
	*chosen = best->backend;
	return 0;
}

static int no_such_backend(const char *name, size_t len)
{
	struct text known = { 0 };

	for (unsigned i = 0; linux_backends[i].ops; i++)
		if (!i || strcmp(linux_backends[i].ops->name, linux_backends[i - 1].ops->name) != 0)
			ADD(&known, ", %s", linux_backends[i].ops->name);
	return hc_error(-ENOENT, "no backend is called %.*s; there are: auto%s", (int)len, name,
	                known.buf);
}

static int choose_named(const char *name, size_t len, enum hc_isa isa,
                        const struct hc_backend_ops **chosen)
{
	const struct hc_backend_ops *other = NULL;
	struct hc_backend_info info = { 0 };

	for (unsigned i = 0; linux_backends[i].ops; i++) {
		const struct hc_backend_ops *b = linux_backends[i].ops;

		if (strlen(b->name) != len || strncmp(name, b->name, len) != 0)
			continue;
		other = b;
		if (b->isa != isa)
			continue;
		int rc = b->probe(&info);

		if (rc)
			return hc_error(rc, "backend %s: %s", b->name, info.reason);
		*chosen = b;
		return 0;
	}
	if (other)
		return hc_error(-EOPNOTSUPP, "backend %s: runs %s guests, the kernel is for %s",
		                other->name, isa_name(other->isa), isa_name(isa));
	return no_such_backend(name, len);
}

int linux_choose_backends(const char *names, enum hc_isa isa,
                          const struct hc_backend_ops *chosen[LINUX_VM_BACKENDS])
{
	const char *comma = names ? strchr(names, ',') : NULL;

	chosen[1] = NULL;
	if (!names || strcmp(names, "auto") == 0)
		return choose_any(isa, &chosen[0]);
	if (!comma)
		return choose_named(names, strlen(names), isa, &chosen[0]);
	int rc = choose_named(names, (size_t)(comma - names), isa, &chosen[0]);

	if (!rc)
		rc = choose_named(comma + 1, strlen(comma + 1), isa, &chosen[1]);
	if (!rc && chosen[0] == chosen[1])
		rc = hc_error(-EINVAL, "backends %s: wants two different ones", names);
	return rc;
}
