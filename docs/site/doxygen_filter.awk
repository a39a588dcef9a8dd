# What Doxygen sees of a header.
#
# - Names lie in feaug itself: the inline namespace of the version is no part of how they are spelled.
# - An indented part of a comment is code (formulas, member lists), which Markdown wants to see after an
#   empty line and four columns in.

{ sub(/namespace feaug::inline FEAUG_VERSION_NAMESPACE/, "namespace feaug") }

/^ *\/\/\/   +[^ ]/ {
  at = index($0, "///")
  before = substr($0, 1, at + 2)
  if (!in_code) print before
  print before "    " substr($0, at + 3)
  in_code = 1
  next
}

{
  if (in_code && $0 ~ /^ *\/\/\/ [^ ]/) print substr($0, 1, index($0, "///") + 2)
  in_code = 0
  print
}
