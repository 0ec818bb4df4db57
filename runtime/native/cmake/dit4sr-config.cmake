# find_package(dit4sr): compiles the C interface in this build, against the Python that dit4sr is installed in.
#
#   dit4sr::dit4sr  for programs and plug-ins: Python is linked, and started by the first dit4sr_open
#   dit4sr::module  for extension modules, which are loaded by a Python that is there already
#
# dit4sr_PYTHON is that Python: of the environment this file lies in, or else of the one that is active.
cmake_minimum_required(VERSION 3.20)

if(NOT TARGET dit4sr::dit4sr)
  if(NOT dit4sr_PYTHON)
    cmake_path(SET _dit4sr_place "${CMAKE_CURRENT_LIST_DIR}")
    while(NOT EXISTS "${_dit4sr_place}/pyvenv.cfg" AND NOT "${_dit4sr_place}" STREQUAL "/")
      cmake_path(GET _dit4sr_place PARENT_PATH _dit4sr_place)
    endwhile()
    find_program(dit4sr_PYTHON NAMES python3 python NO_DEFAULT_PATH
                 PATHS "${_dit4sr_place}/bin" "$ENV{VIRTUAL_ENV}/bin")
    find_program(dit4sr_PYTHON NAMES python3 python)
  endif()

  execute_process(
    COMMAND "${dit4sr_PYTHON}" -m dit4sr.native --json
    OUTPUT_VARIABLE _dit4sr_places ERROR_VARIABLE _dit4sr_complaint RESULT_VARIABLE _dit4sr_failure)
  if(_dit4sr_failure)
    set(dit4sr_FOUND FALSE)
    set(dit4sr_NOT_FOUND_MESSAGE "${dit4sr_PYTHON}: ${_dit4sr_complaint}")
    return()
  endif()
  foreach(_dit4sr_name IN ITEMS environment headers source python_headers python_library)
    string(JSON _dit4sr_${_dit4sr_name} GET "${_dit4sr_places}" ${_dit4sr_name})
  endforeach()

  enable_language(C)
  include(CMakeFindDependencyMacro)
  find_dependency(Threads)

  add_library(dit4sr_sources STATIC "${_dit4sr_source}")
  set_target_properties(dit4sr_sources PROPERTIES
    C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  target_include_directories(dit4sr_sources PUBLIC "${_dit4sr_headers}")
  target_include_directories(dit4sr_sources SYSTEM PRIVATE "${_dit4sr_python_headers}")
  target_compile_definitions(dit4sr_sources PRIVATE "DIT4SR_ENVIRONMENT=\"${_dit4sr_environment}\"")
  target_link_libraries(dit4sr_sources PUBLIC Threads::Threads ${CMAKE_DL_LIBS})

  add_library(dit4sr::module ALIAS dit4sr_sources)
  add_library(dit4sr::dit4sr INTERFACE IMPORTED)
  target_link_libraries(dit4sr::dit4sr INTERFACE dit4sr_sources "${_dit4sr_python_library}")
endif()
