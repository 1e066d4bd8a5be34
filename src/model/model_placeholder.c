/* SPDX-License-Identifier: Apache-2.0 */
/* Holds the place of the first file of model/; goes with it. */
