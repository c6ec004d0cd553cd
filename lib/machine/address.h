/* machine/address.h - where a machine's devices stand, agreed between who builds the machine and
 * who looks at it from inside: PCI slots on bus 0 of the 440BX. IDE is function 1 of slot 1 (PIIX).
 * SCSI unit M of scsiN is target M, LUN 0; SATA unit M is AHCI port M; NVMe has one unit,
 * namespace 1. */
#pragma once

#define IREKO_SLOT_VGA      0x02
#define IREKO_SLOT_AGENT    0x03 /* virtio-serial */
#define IREKO_SLOT_ETHERNET 0x05 /* ethernetN: + N, N of 0 to 9 */
#define IREKO_SLOT_SCSI     0x10 /* scsiN: + N, N of 0 to 3 */
#define IREKO_SLOT_SATA     0x14 /* sataN: + N, N of 0 to 3 */
#define IREKO_SLOT_NVME     0x18 /* nvmeN: + N, N of 0 to 3 */
