# Any older version of the interface is served: structures say their own size.
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/../include/dit4sr.h" _dit4sr_line REGEX "define DIT4SR_VERSION")
string(REGEX REPLACE ".*\"(.*)\".*" "\\1" PACKAGE_VERSION "${_dit4sr_line}")
if(PACKAGE_FIND_VERSION VERSION_LESS_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()
if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
