# Sources of the exact soft-float, for whoever builds them in (the translator's room, its tests).
set(SOFTFLOAT_DIR ${CMAKE_CURRENT_LIST_DIR})
set(SOFTFLOAT_SOURCES
    ${SOFTFLOAT_DIR}/sf_arith.c
    ${SOFTFLOAT_DIR}/sf_compare.c
    ${SOFTFLOAT_DIR}/sf_convert.c
    ${SOFTFLOAT_DIR}/sf_nan.c)
