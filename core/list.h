/* SPDX-License-Identifier: BSD-2-Clause */
/* A circular doubly linked list with its links inside the elements. */
#ifndef CORE_LIST_H
#define CORE_LIST_H

#include <hypercore/types.h>

struct hc_list {
	struct hc_list *prev, *next;
};

static inline void hc_list_init(struct hc_list *l)
{
	l->prev = l->next = l;
}

static inline bool hc_list_empty(const struct hc_list *l)
{
	return l->next == l;
}

static inline void hc_list_insert_before(struct hc_list *pos, struct hc_list *e)
{
	e->prev = pos->prev;
	e->next = pos;
	pos->prev->next = e;
	pos->prev = e;
}

static inline void hc_list_append(struct hc_list *head, struct hc_list *e)
{
	hc_list_insert_before(head, e);
}

/* Leaves e a list of its own, so that removing it again is harmless. */
static inline void hc_list_remove(struct hc_list *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	hc_list_init(e);
}

/* The element that comes next may not be removed in the body; e itself may not be removed either.
 */
#define hc_list_for_each(e, head)                                                                  \
	for (struct hc_list * (e) = (head)->next; (e) != (head); (e) = (e)->next)

#endif
