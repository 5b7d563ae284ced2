# Runs a Redis server for as long as standard input stays open: until the process that started this
# script ends. $1 is the server's folder, removed when that process is gone; the other arguments are
# the server's command line. Prints the server's process id.
folder=$1
shift
exec 3<&0
"$@" </dev/null >/dev/null 2>&1 3<&- &
server=$!
echo "$server"
exec >&-
{
  read -r _ <&3
  trap '' TERM # the end of the server must not end this subshell before the folder is removed
  kill -9 "$server"
  rm -rf "$folder"
} 2>/dev/null &
guard=$!
wait "$server"
code=$?
kill "$guard"
exit "$code"
