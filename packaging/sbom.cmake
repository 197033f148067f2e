# The list of what is compiled into the wheel (PEP 770), with the versions that this build has.

# The numbers of `#define PREFIX_MAJOR 1` and so on in a header, with dots.
function(fastgru_version_in HEADER PREFIX RESULT)
  file(READ ${HEADER} TEXT)
  set(NUMBERS "")
  foreach(PART MAJOR MINOR PATCH)
    if(NOT TEXT MATCHES "#define ${PREFIX}_${PART} +([0-9]+)")
      message(FATAL_ERROR "${HEADER} does not define ${PREFIX}_${PART}; packaging/sbom.cmake has to look elsewhere.")
    endif()
    list(APPEND NUMBERS ${CMAKE_MATCH_1})
  endforeach()
  list(JOIN NUMBERS . DOTTED)
  set(${RESULT} ${DOTTED} PARENT_SCOPE)
endfunction()

fastgru_version_in(${NB_DIR}/include/nanobind/nanobind.h NB_VERSION NANOBIND_VERSION)
fastgru_version_in(${NB_DIR}/ext/robin_map/include/tsl/robin_growth_policy.h TSL_RH_VERSION ROBIN_MAP_VERSION)
configure_file(packaging/sbom.cdx.json.in sbom/fastgru.cdx.json @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/sbom/fastgru.cdx.json DESTINATION ${SKBUILD_METADATA_DIR}/sboms)
