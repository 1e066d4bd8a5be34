/* SPDX-License-Identifier: Apache-2.0 */
/* Builds struct rk_reply trees from RESP bytes, under hiredis' reader. */
#ifndef CLIENT_REPLY_H
#define CLIENT_REPLY_H

#include <hiredis/read.h>

#include <refkeeper/types.h>

/* A reader whose replies are struct rk_reply; freed with redisReaderFree(). */
redisReader *reply_reader_new(void);

#endif
