"""Linear attenuation of the phantom's materials, per millimetre, at 70 keV.

A chest radiograph at 110-125 kVp has a mean photon energy near 70 keV behind the patient's skin.

Source: mass attenuation coefficients interpolated between 60 and 80 keV in Hubbell and Seltzer,
    NISTIR 5632
(https://physics.nist.gov/PhysRefData/XrayMassCoef/), times the densities of ICRU Report 44. The
density of inflated lung, 0.26 g/cm3, is ICRU 44's too.
"""

from typing import Final

WATER_PER_MM: Final = 0.0193
"""Water: 0.193 cm2/g at 1.00 g/cm3; the unit of congestion, which is water in the lung."""

SOFT_TISSUE_PER_MM: Final = 0.0203
"""Muscle and blood: 0.192 cm2/g at 1.06 g/cm3."""

FAT_PER_MM: Final = 0.0178
"""Adipose tissue: 0.188 cm2/g at 0.95 g/cm3."""

LUNG_PER_MM: Final = 0.0050
"""Inflated lung: 0.193 cm2/g at 0.26 g/cm3."""

CORTICAL_BONE_PER_MM: Final = 0.0500
"""Cortical bone: 0.261 cm2/g at 1.92 g/cm3."""

TRABECULAR_BONE_PER_MM: Final = 0.0270
"""Spongy bone with marrow: 0.229 cm2/g at 1.18 g/cm3."""

METAL_PER_MM: Final = 0.2500
"""Titanium and thin steel of devices: 0.56 cm2/g at 4.5 g/cm3."""

LEAD_PER_MM: Final = 3.0
"""Lead of a side marker: about 2.9 cm2/g at 11.3 g/cm3, just below the K edge of 88 keV."""

AIR_PER_MM: Final = 0.0
"""Air: 0.00002 per mm, taken as nothing."""
